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
// The pages of admins: what a person does there with a click goes on by itself, until they stop it.
const shown = (text, act) => {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "gh-button";
  button.textContent = text;
  button.addEventListener("click", act);
  return button;
};
const fetched = async (url) => {
  const answer = await fetch(url, { credentials: "same-origin", redirect: "error" });
  if (!answer.ok) {
    throw new Error(String(answer.status));
  }
  return new DOMParser().parseFromString(await answer.text(), "text/html");
};
// The activity log: the first page anew every few seconds, once somebody wants to follow it.
for (const rows of document.querySelectorAll("[data-gh-live]")) {
  let timer = 0;
  const again = async () => {
    try {
      const found = (await fetched(location.href)).querySelector("[data-gh-live]");
      if (found && found.innerHTML !== rows.innerHTML) {
        rows.replaceChildren(...found.children);
      }
    } catch {
      stop(); // signed out, or the site does not answer: the page says so when it is loaded anew
    }
  };
  const stop = () => {
    clearInterval(timer);
    timer = 0;
    button.textContent = rows.dataset.ghLive;
    button.setAttribute("aria-pressed", "false");
  };
  const button = shown(rows.dataset.ghLive, () => {
    if (timer) {
      stop();
      return;
    }
    timer = setInterval(again, 3000);
    button.textContent = rows.dataset.ghPause;
    button.setAttribute("aria-pressed", "true");
    again();
  });
  rows.closest("table").before(button);
}
// A scan: its next slices are put below, until a page of them is there or somebody stops it.
for (const scan of document.querySelectorAll("[data-gh-scan]")) {
  const more = scan.querySelector("[data-gh-more]");
  const progress = scan.querySelector("[data-gh-progress]");
  if (!progress.querySelector("progress") || !more.querySelector("a")) {
    continue;
  }
  let going = true;
  const stop = shown(scan.dataset.ghStop, () => {
    going = false;
    stop.remove();
  });
  progress.append(stop);
  (async () => {
    const rows = scan.querySelector("tbody");
    while (going && more.querySelector("a") && rows.children.length < 50) {
      try {
        const page = await fetched(more.querySelector("a").href);
        rows.append(...page.querySelector("[data-gh-scan] tbody").children);
        more.replaceChildren(...page.querySelector("[data-gh-more]").childNodes);
        const found = page.querySelector("[data-gh-progress]");
        progress.replaceChildren(...found.childNodes, ...(going ? [stop] : []));
      } catch {
        break;
      }
    }
    stop.remove();
  })();
}
// Ending many: each slice is a form, and the next is sent unless somebody stops it.
for (const next of document.querySelectorAll("[data-gh-on] form")) {
  const timer = setTimeout(() => next.requestSubmit(), 700);
  next.addEventListener("submit", () => clearTimeout(timer));
  for (const link of document.querySelectorAll(".gh-row > a")) {
    link.addEventListener("click", () => clearTimeout(timer));
  }
  document.addEventListener("keydown", () => clearTimeout(timer), { once: true });
}
