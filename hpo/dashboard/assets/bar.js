"use strict";
// Optuna's dashboard goes from page to page without loading: the link to the report follows.
(() => {
  const report = document.querySelector("#hpo-bar .report");
  let path = null;
  const follow = () => {
    if (location.pathname === path) return;
    path = location.pathname;
    const study = /^\/dashboard\/studies\/(\d+)/.exec(path);
    report.hidden = !study;
    if (study) report.href = `/report?id=${study[1]}`;
  };
  new MutationObserver(follow).observe(document.getElementById("dashboard"), {
    childList: true,
    subtree: true,
  });
  follow();
})();
