"use strict";
// A line and its outline on the page light up together; without scripts the links still work.
for (const outline of document.querySelectorAll(".page a[href^='#']")) {
  const line = document.getElementById(outline.getAttribute("href").slice(1));
  if (!line) continue;
  for (const [from, to] of [[outline, line], [line, outline]]) {
    from.addEventListener("mouseenter", () => to.classList.add("on"));
    from.addEventListener("mouseleave", () => to.classList.remove("on"));
  }
}
