// Sorts and filters the table of variants. Without this script the table is complete, in the order of the run.
"use strict";
(() => {
  const byId = (name) => document.getElementById(`table-${name}`);
  const table = byId("variants");
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const heads = [...table.tHead.rows[0].cells];
  const [verdict, name, sort, turn, count] = ["verdict", "name", "sort", "turn", "count"].map(byId);

  function compare(place, sign) {
    return (left, right) => {
      const [a, b] = [left, right].map((row) => row.cells[place].dataset.value);
      if (a === "" || b === "") return (a === "") - (b === ""); // what is missing stays last
      const difference = Number(a) - Number(b);
      return sign * (Number.isNaN(difference) ? a.localeCompare(b, "en", { numeric: true }) : difference);
    };
  }

  function arrange() {
    const descending = turn.getAttribute("aria-pressed") === "true";
    const sorted = [...rows];
    if (sort.value !== "") sorted.sort(compare(Number(sort.value), descending ? -1 : 1));
    else if (descending) sorted.reverse();
    body.append(...sorted);
    heads.forEach((head, place) => {
      if (sort.value === String(place)) head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
  }

  function filter() {
    const wanted = name.value.trim().toLowerCase();
    for (const row of rows) {
      const fits = row.dataset.name.toLowerCase().includes(wanted);
      row.hidden = !fits || (verdict.value !== "" && row.dataset.verdict !== verdict.value);
    }
    const shown = rows.filter((row) => !row.hidden).length;
    count.value = shown === rows.length ? "" : `${shown} of ${rows.length} rows`;
  }

  heads.forEach((head, place) => {
    const title = head.querySelector(".title");
    const button = document.createElement("button");
    button.type = "button";
    button.className = "title";
    button.textContent = title.textContent;
    button.addEventListener("click", () => {
      const again = sort.value === String(place) && turn.getAttribute("aria-pressed") === "false";
      sort.value = String(place);
      turn.setAttribute("aria-pressed", String(again));
      arrange();
    });
    title.replaceWith(button);
  });
  sort.addEventListener("change", arrange);
  turn.addEventListener("click", () => {
    turn.setAttribute("aria-pressed", String(turn.getAttribute("aria-pressed") === "false"));
    arrange();
  });
  verdict.addEventListener("change", filter);
  name.addEventListener("input", filter);
  byId("tools").hidden = false;
})();
