// Keyboard first: a key presses the button that names it, unless somebody is typing. Counts the seconds a decision took.
"use strict";
const began = performance.now();
document.addEventListener("keydown", (event) => {
  const typing = ["INPUT", "TEXTAREA"].includes(event.target.tagName);
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const hit = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
  if (hit) { event.preventDefault(); hit.click(); }
});
document.addEventListener("submit", (event) => {
  const seconds = event.target.querySelector("input[name=seconds]");
  if (seconds) seconds.value = ((performance.now() - began) / 1000).toFixed(1);
});
