// The pages of the message queues: selecting all of a page, and progress that follows by itself.
(() => {
  const PAUSE_MS = 1000;

  for (const all of document.querySelectorAll("[data-check-all]")) {
    const boxes = [...document.getElementsByName(all.dataset.checkAll)];
    const show = () => {
      const checked = boxes.filter((box) => box.checked).length;
      all.checked = checked === boxes.length;
      all.indeterminate = checked > 0 && checked < boxes.length;
    };
    all.addEventListener("change", () => {
      for (const box of boxes) box.checked = all.checked;
    });
    for (const box of boxes) box.addEventListener("change", show);
    show();
  }

  const follow = async () => {
    const progress = document.getElementById("progress");
    if (!progress?.dataset.running) return;
    try {
      const response = await fetch(location.href, { redirect: "error" });
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      const next = page.getElementById("progress");
      if (next) progress.replaceWith(next);
    } catch {
      // The Control Center may be away for a moment.
    }
    setTimeout(follow, PAUSE_MS);
  };
  setTimeout(follow, PAUSE_MS);
})();
