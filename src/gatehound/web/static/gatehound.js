// What makes the pages better, and nothing that they need: a question before a device is signed
// out, and times as this browser writes them.
"use strict";
for (const form of document.querySelectorAll("form[data-gh-confirm]")) {
  form.addEventListener("submit", (event) => {
    if (!window.confirm(form.dataset.ghConfirm)) {
      event.preventDefault();
    }
  });
}
// Not the times of an app's own page, on which a fragment may stand.
for (const time of document.querySelectorAll(".gh-main time, .gh-sessions time")) {
  const at = new Date(time.dateTime);
  const language = time.closest("[lang]")?.lang;
  if (!Number.isNaN(at.getTime())) {
    try {
      time.title = at.toLocaleString(language || undefined);
    } catch {
      time.title = at.toLocaleString(); // a language that is none
    }
  }
}
