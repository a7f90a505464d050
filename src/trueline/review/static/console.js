// Keyboard first: a key presses the button (or enters the field) that names it, unless somebody is typing. A form is sent once.
// Counts the seconds a decision took; keeps the queue fresh. Everything works without this script as well.
"use strict";
const began = performance.now();
const typing = (element) => ["INPUT", "TEXTAREA", "SELECT"].includes(element.tagName);

document.addEventListener("keydown", (event) => {
  if (event.isComposing || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
  if (typing(event.target)) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const hit = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
  if (!hit || hit.disabled) return;
  event.preventDefault();
  if (typing(hit)) { hit.focus(); hit.setSelectionRange(hit.value.length, hit.value.length); }
  else hit.click();
});

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.dataset.sent) { event.preventDefault(); return; }
  form.dataset.sent = "yes";
  const seconds = form.querySelector("input[name=seconds]");
  if (seconds) seconds.value = ((performance.now() - began) / 1000).toFixed(1);
  const busy = form.querySelector("[data-busy]");
  if (busy) busy.textContent = busy.dataset.busy;
});
window.addEventListener("pageshow", () => document.querySelectorAll("form").forEach((form) => delete form.dataset.sent));

// a draft that was changed cannot be released as it was
const text = document.querySelector("form[data-draft] textarea");
if (text) {
  const release = document.querySelector("[data-unless-changed]");
  const look = () => { release.disabled = text.value.trim() !== text.defaultValue.trim(); };
  if (!document.querySelector("form[data-draft] [role=alert]")) text.addEventListener("input", look);
}

// what waits appears by itself; not while somebody reads it with the keyboard
const live = document.querySelector("[data-live]");
if (live) setInterval(async () => {
  if (document.hidden || live.contains(document.activeElement)) return;
  try {
    const answer = await fetch(location.href, { credentials: "same-origin" });
    if (!answer.ok || answer.redirected) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.querySelector("[data-live]");
    if (!fresh || fresh.innerHTML === live.innerHTML) return;
    live.replaceChildren(...fresh.childNodes);
    document.title = page.title;
  } catch { /* the server is away; the next round asks again */ }
}, 10000);
