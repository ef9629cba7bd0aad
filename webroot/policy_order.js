// The order of the content filters, by dragging a handle or with the keyboard on it. Without this
// file the buttons Up and Down do it.
(() => {
  const status = document.getElementById("move-status");
  const list = () => document.getElementById("filters");
  if (!list() || !status) return;

  let taken = null; // the row that the keyboard moves
  let before = null; // the row that it stood before

  const rows = () => [...list().children];
  const handleOf = (row) => row.querySelector(".handle");
  const place = (row) => rows().indexOf(row) + 1;
  const say = (text) => {
    status.textContent = text;
  };

  const renumber = () => {
    const first = Math.min(...rows().map((row) => Number(row.querySelector(".filter-position").textContent)));
    rows().forEach((row, index) => {
      row.querySelector(".filter-position").textContent = first + index;
    });
  };

  const showAnswer = async (response) => {
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const answered = page.getElementById("filters");
    if (!response.ok || !answered) throw new Error(`status ${response.status}`);
    list().replaceWith(answered);
    const banner = page.querySelector(".policy-banner");
    const shown = document.querySelector(".policy-banner");
    if (shown && banner) shown.replaceWith(banner);
    else if (shown) shown.remove();
    else if (banner) document.querySelector(".page-head").before(banner);
  };

  const save = async (row) => {
    const { id, name } = row.dataset;
    const next = row.nextElementSibling?.dataset.id ?? list().dataset.next;
    const position = place(row);
    const fields = new URLSearchParams({ csrf: row.querySelector("[name=csrf]").value, before: next });
    renumber();
    try {
      await showAnswer(await fetch(`/policies/filters/named/${encodeURIComponent(id)}/move`,
        { method: "POST", body: fields }));
      say(`${name} stands at place ${position} of this page.`);
      const moved = rows().find((candidate) => candidate.dataset.id === id);
      if (moved) handleOf(moved).focus();
    } catch {
      location.reload(); // shows what the order really is
    }
  };

  // With the keyboard.
  const drop = () => {
    const row = taken;
    taken = null;
    row.classList.remove("taken");
    handleOf(row).setAttribute("aria-pressed", "false");
    if (row.nextElementSibling === before) say(`${row.dataset.name} stays where it was.`);
    else save(row);
  };

  const take = (row) => {
    taken = row;
    before = row.nextElementSibling;
    row.classList.add("taken");
    handleOf(row).setAttribute("aria-pressed", "true");
    say(`${row.dataset.name} is taken, at place ${place(row)}.`);
  };

  const step = (row, other, isUp) => {
    if (!other) return;
    if (isUp) other.before(row);
    else other.after(row);
    handleOf(row).focus();
    say(`Place ${place(row)}.`);
  };

  document.addEventListener("keydown", (event) => {
    const handle = event.target.closest?.(".handle");
    if (!handle) return;
    const row = handle.closest(".filter-row");
    if (event.key === " " || event.key === "Enter") {
      if (taken) drop();
      else take(row);
    } else if (taken && event.key === "ArrowUp") step(row, row.previousElementSibling, true);
    else if (taken && event.key === "ArrowDown") step(row, row.nextElementSibling, false);
    else if (taken && event.key === "Escape") {
      if (before) before.before(row);
      else list().append(row);
      handle.focus();
      drop();
    } else return;
    event.preventDefault();
  });

  // By dragging, with a mouse or a finger.
  document.addEventListener("pointerdown", (event) => {
    const handle = event.target.closest?.(".handle");
    if (!handle || event.button !== 0 || taken) return;
    const row = handle.closest(".filter-row");
    const stoodBefore = row.nextElementSibling;
    const move = (at) => {
      const over = rows().find((other) => {
        const box = other.getBoundingClientRect();
        return other !== row && at.clientY >= box.top && at.clientY <= box.bottom;
      });
      if (!over) return;
      const box = over.getBoundingClientRect();
      if (at.clientY < box.top + box.height / 2) over.before(row);
      else over.after(row);
    };
    const end = (at) => {
      for (const [name, listener] of Object.entries(listeners)) document.removeEventListener(name, listener);
      row.classList.remove("taken");
      if (at.type === "pointercancel" && stoodBefore) stoodBefore.before(row);
      else if (at.type === "pointercancel") list().append(row);
      else if (row.nextElementSibling !== stoodBefore) save(row);
    };
    // On the document: a handle that changes its place loses what it has captured.
    const listeners = { pointermove: move, pointerup: end, pointercancel: end };
    row.classList.add("taken");
    for (const [name, listener] of Object.entries(listeners)) document.addEventListener(name, listener);
  });
})();
