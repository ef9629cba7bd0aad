// The editor of a content filter: rows come and go, and the summary follows what is typed, without
// leaving the page. What is shown is always what the Control Center makes of the form.
(() => {
  const PAUSE_MS = 350;
  const form = document.querySelector("form[data-rules]");
  if (!form) return;
  const summary = document.getElementById("summary");
  let timer = null;
  let asked = 0;

  const fieldsFor = (what) => {
    const fields = new URLSearchParams(new FormData(form));
    fields.set("do", what);
    return fields;
  };

  const ask = async (what) => {
    const fields = fieldsFor(what);
    const response = await fetch(form.action, { method: "POST", body: fields });
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const answered = page.getElementById("filter");
    if (!response.ok || !answered) throw new Error(`status ${response.status}`);
    return { page, isCurrent: fieldsFor(what).toString() === fields.toString() };
  };

  const sayAgain = async () => {
    const number = ++asked;
    try {
      const { page } = await ask("refresh");
      const text = page.getElementById("summary").textContent;
      if (number === asked && summary.textContent !== text) summary.textContent = text;
    } catch {
      // The next change asks again; saving says what is the matter.
    }
  };

  const showRows = (page) => {
    for (const id of ["conditions", "actions"])
      document.getElementById(id).replaceWith(page.getElementById(id));
    summary.textContent = page.getElementById("summary").textContent;
  };

  const focusAfter = (what, id) => {
    const rows = what.endsWith("condition") ? "conditions" : "actions";
    let target = document.getElementById(id);
    if (what.startsWith("add_"))
      target = [...document.querySelectorAll(`#${rows} .rule`)].at(-1)?.querySelector("select");
    else if (what.startsWith("remove_"))
      target = document.getElementById(what.startsWith("remove_condition") ? "add_condition" : "add_action");
    target?.focus();
  };

  // What was typed while the answer was on its way is asked for again rather than lost.
  const rebuild = async (what, id, button) => {
    const number = ++asked;
    clearTimeout(timer);
    form.setAttribute("aria-busy", "true");
    try {
      let answer = await ask(what);
      for (let i = 0; i < 5 && !answer.isCurrent; i++) answer = await ask(what);
      if (number === asked) {
        showRows(answer.page);
        focusAfter(what, id);
      }
    } catch {
      if (button) form.requestSubmit(button); // the whole page says what is the matter
    }
    form.removeAttribute("aria-busy");
  };

  form.addEventListener("change", (event) => {
    if (event.target.matches("[data-refresh]")) rebuild("refresh", event.target.id, null);
    else sayAgain();
  });

  form.addEventListener("input", (event) => {
    if (event.target.matches("[data-refresh]")) return;
    clearTimeout(timer);
    timer = setTimeout(sayAgain, PAUSE_MS);
  });

  form.addEventListener("click", (event) => {
    const button = event.target.closest("button[name=do]");
    if (!button || !/^(add|remove)_/.test(button.value)) return;
    event.preventDefault();
    rebuild(button.value, button.id, button);
  });
})();
