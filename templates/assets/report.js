// Improves pages: each works without it. Loaded by its address alone, so that no page holds a script.
"use strict";

// Text to copy has a button for it.
for (const text of document.querySelectorAll("pre.command, pre.copy")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copier";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    const done = await copied(text);
    button.textContent = done ? "Copied" : "Selected: copy it with the keyboard";
    setTimeout(() => { button.textContent = "Copy"; }, 4000);
  });
  const box = document.createElement("div");
  box.className = "copied";
  text.replaceWith(box);
  box.append(text, button);
}

// A clipboard is only there over HTTPS and on this machine; elsewhere the browser's own command is asked.
async function copied(element) {
  try {
    await navigator.clipboard.writeText(element.textContent);
    return true;
  } catch {
    getSelection().selectAllChildren(element);
    return document.execCommand("copy");
  }
}

// A list that is followed gets its new rows from the server, made there as all others are.
for (const list of document.querySelectorAll("[data-tail]")) {
  const rows = list.querySelector("tbody");
  const status = list.querySelector("[data-status]");
  const source = new EventSource(list.dataset.tail);
  const take = (event) => {
    const made = document.createElement("template");
    made.innerHTML = event.data;
    for (const row of [...made.content.children].reverse()) {
      if (document.getElementById(row.id)) continue;
      row.classList.add("fresh");
      rows.prepend(row);
    }
    // What is kept on the page is what a person may still look at.
    while (rows.children.length > 500) rows.lastElementChild.remove();
  };
  source.addEventListener("open", () => { status.textContent = "Following: what is stored from now on appears here."; });
  source.addEventListener("all", take);
  source.addEventListener("some", (event) => {
    take(event);
    status.textContent = "Following: more came at once than is shown here. Load the page again to see all of it.";
  });
  source.addEventListener("error", () => {
    status.textContent = source.readyState === EventSource.CLOSED
      ? "Not following: the server has no room for it, or could not read the address. Load the page again."
      : "Not connected: trying again. Nothing is lost, what comes meanwhile follows.";
  });
}
