"""The command that serves the dashboard."""

from pathlib import Path

import click

from hpo.options import JSON, OUTPUT, STORAGE, example, print_json, url_of


@click.command(
    epilog=example(
        "hpo dashboard --storage postgresql://hpo_reader@db/hpo",
        "HPO_DASHBOARD_PASSWORD_FILE=password hpo dashboard --host 0.0.0.0 --allow-host gpu1:8080",
    )
)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8080, show_default=True,
    help="The port; 0 takes any that is free.",
)  # fmt: skip
@click.option(
    "--allow-host", "allowed", metavar="NAME[:PORT]", multiple=True,
    help="A name by which browsers call it, beside localhost; repeatable.",
)  # fmt: skip
@click.option(
    "--behind-proxy", "proxy", metavar="ADDRESS",
    help="A reverse proxy there says who asks (X-Forwarded-For) and by TLS or not (…-Proto).",
)  # fmt: skip
@click.option(
    "--write",
    is_flag=True,
    help="Let notes be edited and studies be deleted by whoever gives the password.",
)
@STORAGE
@OUTPUT
@JSON
def dashboard(  # noqa: PLR0913, PLR0917 - one for each option
    host: str,
    port: int,
    allowed: tuple[str, ...],
    proxy: str | None,
    write: bool,  # noqa: FBT001
    storage_url: str | None,
    output: Path,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Serve Optuna's dashboard of a storage, and the report of each study, to a browser.

    Only this machine reaches it, with all its users, unless --host says otherwise. That, and
    --write, need a password: in HPO_DASHBOARD_PASSWORD or in a file that
    HPO_DASHBOARD_PASSWORD_FILE names (for scripts a token, HPO_DASHBOARD_TOKEN, sent as
    "Authorization: Bearer …"). The address is printed on stdout once it answers; Ctrl-C ends it.
    """
    from hpo.dashboard.serving import Place, serve

    def ready(address: str, login: bool) -> None:  # noqa: FBT001
        if as_json:
            print_json({"url": address, "write": write, "login": login})
            return
        click.echo(address)
        kind = "notes can be edited and studies deleted" if write else "read-only"
        asks = "asks for the password" if login else (
            "every user of this machine can read it (HPO_DASHBOARD_PASSWORD sets a password)"
        )  # fmt: skip
        click.echo(f"hpo: {kind}; {asks}; Ctrl-C ends it", err=True)

    serve(url_of(storage_url, output), Place(host, port, allowed, proxy, write), ready)
