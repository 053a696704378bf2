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
for (const time of document.querySelectorAll("time[datetime]")) {
  const at = new Date(time.dateTime);
  if (!Number.isNaN(at.getTime())) {
    time.title = at.toLocaleString(document.documentElement.lang || undefined);
  }
}
