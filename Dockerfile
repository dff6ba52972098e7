# hpo with the versions of constraints.txt, for the CPU or, by one argument, for CUDA:
#
#     docker build --tag hpo:cpu .
#     docker build --tag hpo:cu130 --build-arg TORCH=cu130 .
#
# Where it is run without docker-compose.yml, --init passes signals on, and --stop-timeout 40 leaves a
# worker the time to save its trial.
ARG PYTHON=3.11.14-slim-bookworm

FROM python:${PYTHON} AS build
# Which builds of torch: cpu, cu126, cu130 or what else https://pytorch.org/get-started offers.
ARG TORCH=cpu
RUN python -m venv /opt/hpo
ENV PATH=/opt/hpo/bin:$PATH
WORKDIR /build
COPY constraints.txt ./
# Alone, since PyTorch's index has other versions of what it needs; the next step brings that.
RUN pip install --no-cache-dir --no-deps --constraint constraints.txt \
    --index-url "https://download.pytorch.org/whl/${TORCH}" torch
COPY LICENSE README.md pyproject.toml ./
COPY hpo hpo
COPY studies studies
RUN pip install --no-cache-dir --use-pep517 --constraint constraints.txt '.[dashboard]'

FROM python:${PYTHON}
LABEL org.opencontainers.image.title="hpo" \
    org.opencontainers.image.description="Hyperparameter search for fine-tuning Hugging Face models" \
    org.opencontainers.image.licenses="Apache-2.0"
# Volumes that are new get the owner of the folder that they are put over.
RUN groupadd --gid 10001 hpo \
    && useradd --uid 10001 --gid hpo --create-home hpo \
    && install --directory --owner=hpo --group=hpo /hpo /hpo/runs /hpo/cache
COPY --from=build /opt/hpo /opt/hpo
ENV PATH=/opt/hpo/bin:$PATH HF_HOME=/hpo/cache PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /hpo
STOPSIGNAL SIGTERM
ENTRYPOINT ["hpo"]
CMD ["--help"]
