"use strict";
// The gallery works without this script: it then shows the first method, and opens and closes variants one by one.
(() => {
  const gallery = document.getElementById("gallery");
  const controls = gallery && gallery.querySelector(".gallery-controls");
  if (!controls) return;
  const all = (selector) => [...gallery.querySelectorAll(selector)];
  const control = (name) => controls.querySelector(`[name=${name}]`);
  const variants = all(".of-variant");

  const show = {
    variant(id) {
      for (const one of variants) {
        one.hidden = one.id !== id;
        one.open = !one.hidden;
      }
    },
    method(place) {
      for (const use of all("[data-maps]")) {
        const map = use.dataset.maps.split(" ")[place];
        if (map === "-") use.removeAttribute("href");
        else use.setAttribute("href", `#${map}`);
      }
      for (const score of all("[data-method]")) score.classList.toggle("chosen", score.dataset.method === place);
      gallery.querySelector(".method").textContent = control("method").selectedOptions[0].textContent;
    },
    label(label) {
      for (const group of all(".group")) {
        const shots = [...group.querySelectorAll(".shot")];
        for (const shot of shots) shot.hidden = label !== "" && shot.dataset.label !== label;
        const none = group.querySelector(".no-match");
        if (none) none.hidden = shots.some((shot) => !shot.hidden);
      }
    },
    opacity(percent) {
      gallery.style.setProperty("--heat", percent / 100);
      controls.querySelector("output").textContent = `${percent} %`;
    },
  };

  // A link from elsewhere in the page leads to one variant.
  const follow = () => {
    const asked = variants.find((one) => `#${one.id}` === location.hash);
    if (!asked || !control("variant")) return;
    control("variant").value = asked.id;
    show.variant(asked.id);
    asked.scrollIntoView();
  };

  for (const [name, change] of Object.entries(show)) {
    const chosen = control(name);
    if (!chosen) continue;
    chosen.addEventListener("input", () => change(chosen.value));
    change(chosen.value); // a browser may have kept what was chosen before the page was loaded again
  }
  controls.hidden = false;
  window.addEventListener("hashchange", follow);
  follow();
})();
