"use strict";

// Filters live in the address, so that a link shows what its sender saw.
(() => {
  const form = document.getElementById("filters");
  const status = document.getElementById("status");
  const folding = document.getElementById("folding");
  const names = ["text", "area", "verdict", "backend"];
  const hosts = [...form.elements.backend.options].slice(1).map((option) => option.value);
  const cases = [...document.querySelectorAll("#list > .case")];
  const texts = new Map();

  const textOf = (item) => {
    if (!texts.has(item)) texts.set(item, item.textContent.toLowerCase());
    return texts.get(item);
  };

  const hasVerdict = (item, verdict, backend) => {
    const differs = item.hasAttribute("data-differs");
    const on = item.dataset.on.split(" ");
    if (verdict === "differs") return differs;
    if (backend) return on[hosts.indexOf(backend)] === verdict;
    if (verdict === "passed") return !differs && on.every((word) => word === verdict);
    if (verdict === "failed") return item.dataset.verdict === verdict;
    return on.includes(verdict);
  };

  const apply = () => {
    const [text, area, verdict, backend] = names.map((name) => form.elements[name].value);
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const item of cases) {
      const fits =
        (!area || item.dataset.area === area) &&
        (!verdict || hasVerdict(item, verdict, backend)) &&
        words.every((word) => textOf(item).includes(word));
      item.hidden = !fits;
      shown += fits;
    }
    const all = `${cases.length} case${cases.length === 1 ? "" : "s"}`;
    status.textContent = shown === cases.length ? all : `${shown || "None"} of ${all}`;
  };

  const keep = () => {
    const state = new URLSearchParams();
    for (const name of names) {
      const value = form.elements[name].value;
      if (value) state.set(name, value);
    }
    const address = location.href.replace(/#.*/, "");
    history.replaceState(null, "", String(state) ? `${address}#${state}` : address);
  };

  const follow = () => {
    const fragment = location.hash.slice(1);
    const target = document.getElementById(fragment);
    if (fragment.includes("=") && !target) {
      const state = new URLSearchParams(fragment);
      for (const name of names) form.elements[name].value = state.get(name) || "";
      // A value that is not among the options would leave a list blank.
      for (const list of form.querySelectorAll("select")) {
        if (list.selectedIndex < 0) list.selectedIndex = 0;
      }
      apply();
      const title = document.getElementById("cases-title");
      title.focus({ preventScroll: true });
      title.scrollIntoView();
    } else if (target && target.matches("details")) {
      target.hidden = false;
      target.open = true;
      target.scrollIntoView();
      target.querySelector("summary").focus({ preventScroll: true });
    }
  };

  // The source of a fixture is in the page once; a case that is opened gets a copy.
  const inline = (item) => {
    const link = item.querySelector("a.fixture");
    const source = link && document.getElementById(link.hash.slice(1));
    if (!source || !source.querySelector("pre")) return;
    const copy = source.cloneNode(true);
    copy.removeAttribute("id");
    copy.open = false;
    copy.querySelector("summary").textContent = "Show its text";
    link.classList.remove("fixture");
    link.parentNode.append(copy);
  };

  const reachable = (item) => {
    for (const box of item.querySelectorAll(".box")) {
      if (box.scrollWidth <= box.clientWidth) continue;
      box.tabIndex = 0;
      box.setAttribute("role", "region");
      box.setAttribute("aria-label", `Table in ${decodeURIComponent(item.id)}`);
    }
  };

  for (const item of cases) {
    item.addEventListener("toggle", () => {
      if (!item.open) return;
      textOf(item);
      inline(item);
      reachable(item);
    });
  }
  form.addEventListener("input", () => { apply(); keep(); });
  form.addEventListener("submit", (event) => event.preventDefault());
  // The fields still have their values while the event is under way.
  form.addEventListener("reset", () => setTimeout(() => { apply(); keep(); }));
  folding.addEventListener("click", (event) => {
    const { value } = event.target;
    if (value === "open") for (const item of cases) item.open = item.open || !item.hidden;
    if (value === "close") for (const item of cases) item.open = false;
  });
  addEventListener("hashchange", follow);

  form.hidden = folding.hidden = false;
  follow();
})();
