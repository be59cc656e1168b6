// What the pages do by themselves where there are scripts. Everything works without.
"use strict";

// Commands and secrets can be copied.
function addCopyButtons(root) {
  if (!navigator.clipboard) return;
  for (const figure of root.querySelectorAll("[data-copy]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "plain small copy";
    button.textContent = "Copy";
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(figure.querySelector("pre").textContent);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    });
    figure.querySelector("figcaption").append(button);
  }
}

// Replaces a part of the page by the same part as it is now, unless somebody is at work in it.
async function renew(part) {
  if (part.contains(document.activeElement) && document.activeElement.closest("form")) return part;
  const answer = await fetch(location.pathname + location.search, { headers: { accept: "text/html" } });
  if (!answer.ok || answer.redirected) return part;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const now = page.querySelector("[data-live]");
  if (!now) {
    // Nothing is under way any more: the whole page is another one.
    location.replace(location.pathname + location.search);
    return part;
  }
  if (now.innerHTML === part.innerHTML) return part;
  part.replaceWith(now);
  addCopyButtons(now);
  return now;
}

// Follows the event stream while something is under way.
function follow() {
  let part = document.querySelector("[data-live]");
  if (!part || !window.EventSource) return;
  let waiting = null;
  const soon = () => {
    clearTimeout(waiting);
    waiting = setTimeout(async () => { part = await renew(part); }, 150);
  };
  const stream = new EventSource("/api/v1/events");
  const steps = ["submitted", "approved", "rejected", "withdrawn", "registering", "registered", "mapped",
    "provisioned", "delayed", "failed", "retried", "revoked", "deprovisioned", "problem"];
  for (const step of steps) stream.addEventListener(step, soon);
  // What happened between the page and the stream.
  stream.addEventListener("open", soon);
}

// A button that shows its answer within the page, so that secrets that were typed stay where they are.
function answerWithin() {
  for (const button of document.querySelectorAll("button[data-within]")) {
    button.addEventListener("click", async (event) => {
      event.preventDefault();
      const form = button.form;
      const result = form.querySelector("[data-result]");
      button.disabled = true;
      result.textContent = "Testing…";
      try {
        const answer = await fetch(button.formAction, {
          method: "POST",
          body: new URLSearchParams(new FormData(form)),
          headers: { accept: "text/html" },
        });
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        const found = page.querySelector("[data-result] > *") || page.querySelector("main .problem");
        result.replaceChildren(...(found ? [found] : ["No answer."]));
      } catch {
        result.textContent = "No answer. Try again.";
      }
      button.disabled = false;
    });
  }
}

addCopyButtons(document);
follow();
answerWithin();
