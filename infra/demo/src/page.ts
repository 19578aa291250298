// The shop's only page: it says what it is, and shows what the shop asked and what the database said.

export const PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>The shop: try your own injection</title>
<style>
  :root { color-scheme: light dark; --line: #8884; --soft: #8882; --accent: #0a7d55; --bad: #c2362b; }
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 54rem; margin: 3rem auto; padding: 0 1rem; }
  h1 { font-size: 1.6rem; margin: 0 0 .25rem; }
  p { margin: .25rem 0 1.25rem; }
  fieldset { border: 1px solid var(--line); border-radius: .5rem; margin: 0 0 1rem; padding: .75rem 1rem; }
  legend { font-weight: 600; padding: 0 .4rem; }
  form { display: flex; gap: .5rem; flex-wrap: wrap; margin: .4rem 0; align-items: center; }
  label { flex: 0 0 8rem; }
  input { flex: 1 1 12rem; font: inherit; font-family: ui-monospace, monospace; padding: .35rem .5rem; border: 1px solid var(--line); border-radius: .35rem; background: transparent; color: inherit; }
  button, select { font: inherit; padding: .35rem .8rem; border: 1px solid var(--line); border-radius: .35rem; background: var(--soft); color: inherit; cursor: pointer; }
  pre { background: var(--soft); border-radius: .35rem; padding: .6rem .8rem; overflow: auto; white-space: pre-wrap; margin: .3rem 0 .8rem; }
  .error { border-left: 4px solid var(--bad); } .rows { border-left: 4px solid var(--accent); }
  .try { border: 0; background: none; padding: 0; text-decoration: underline dotted; font-size: .85em; }
  small { opacity: .75; }
</style>
<h1>The shop</h1>
<p>A small application that builds its SQL by string concatenation, on purpose. It does not know that Picket exists:
whatever you see below is what its database driver gave it. <strong>Try your own injection.</strong></p>
<fieldset>
  <legend>Ask the shop</legend>
  <form><label for="db">Database</label><select id="db"><option>mariadb</option><option>postgresql</option></select></form>
  <form data-path="/search"><label>Search</label><input name="q" value="Anvil"><button>Search</button></form>
  <form data-path="/product"><label>Product number</label><input name="id" value="7"><button>Show</button></form>
  <form data-path="/products"><label>Sort by</label><input name="sort" value="price"><button>List</button></form>
  <form data-path="/login"><label>Log in</label><input name="email" value="mia@example.org"><input name="password" value="hunter2-mia"><button>Log in</button></form>
  <small>For a start:
    <button class="try" data-path="/search" data-name="q" data-value="' UNION SELECT id, CONCAT(email, ' ', password), 0 FROM customers-- ">everyone's passwords</button>,
    <button class="try" data-path="/login" data-name="email" data-value="admin@example.org'-- ">log in as admin</button>,
    <button class="try" data-path="/product" data-name="id" data-value="1 OR 1=1">every product at once</button></small>
</fieldset>
<div id="answer" aria-live="polite"></div>
<script>
  const byId = id => document.getElementById(id);
  for (const form of document.querySelectorAll("form[data-path]"))
    form.addEventListener("submit", event => { event.preventDefault(); ask(form); });
  for (const example of document.querySelectorAll(".try"))
    example.addEventListener("click", () => {
      const form = document.querySelector('form[data-path="' + example.dataset.path + '"]');
      form.elements[example.dataset.name].value = example.dataset.value;
      ask(form);
    });
  byId("db").form.addEventListener("submit", event => event.preventDefault());
  async function ask(form) {
    const fields = new URLSearchParams(new FormData(form));
    fields.set("db", byId("db").value);
    const began = performance.now();
    const reply = await (await fetch(form.dataset.path, { method: "POST", body: fields })).json();
    const tookMs = Math.round(performance.now() - began);
    const box = byId("answer");
    box.replaceChildren();
    add("The shop sent to " + reply.database, reply.sql, "");
    if (reply.error) add("The database answered with an error (" + reply.error.code + ")", reply.error.message, "error");
    else add(reply.rows.length + " rows came back", reply.rows.map(row => JSON.stringify(row)).join("\\n"), "rows");
    const note = document.createElement("small");
    note.textContent = "Worker process " + reply.worker + ", " + tookMs + " ms";
    box.append(note);
    function add(title, text, kind) {
      const heading = document.createElement("strong");
      heading.textContent = title;
      const body = document.createElement("pre");
      body.className = kind;
      body.textContent = text;
      box.append(heading, body);
    }
  }
</script>
</html>
`;
