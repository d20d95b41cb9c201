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
