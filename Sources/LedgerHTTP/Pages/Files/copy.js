// Copies the text of a button of class `copy`; without a text, the address of the page.

const shownTime = 1_500; // Milliseconds for which a button shows that it has copied.

/** Copies a text. Browsers offer the clipboard under https and on localhost only. */
async function copy(text) {
  if (navigator.clipboard !== undefined) return navigator.clipboard.writeText(text);
  const field = document.createElement("textarea");
  field.value = text;
  field.className = "hidden";
  document.body.append(field);
  field.select();
  try {
    if (!document.execCommand("copy")) throw new Error("The browser does not copy.");
  } finally {
    field.remove();
  }
}

addEventListener("click", async (event) => {
  const button = event.target.closest?.("button.copy") ?? null;
  if (button === null) return;
  const title = button.dataset.title ??= button.textContent;
  let result = "Copied";
  try {
    await copy(button.dataset.text ?? location.href);
  } catch {
    result = "Not copied"; // The browser does not permit it.
  }
  button.textContent = result;
  setTimeout(() => { button.textContent = title; }, shownTime);
});
