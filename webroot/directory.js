// The test of a directory without leaving the form, so that a password that was typed stays there.
(() => {
  const button = document.querySelector("[data-test]");
  const shown = document.getElementById("test");
  if (!button || !shown) return;

  const test = async (form) => {
    const fields = new URLSearchParams(new FormData(form));
    fields.set("do", "test");
    const response = await fetch(form.action, { method: "POST", body: fields });
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const errors = page.getElementById("errors");
    const report = page.getElementById("test");
    if (!response.ok && !errors) throw new Error(`status ${response.status}`);
    shown.replaceChildren(...(errors ?? report).childNodes);
  };

  button.addEventListener("click", async (event) => {
    event.preventDefault();
    button.disabled = true;
    shown.textContent = "Testing. This may take as long as the time limits of the servers.";
    try {
      await test(button.form);
    } catch {
      shown.textContent = "The Control Center did not answer.";
    }
    button.disabled = false;
    shown.focus();
  });
})();
