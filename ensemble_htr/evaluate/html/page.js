"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const at = (id) => document.getElementById(id);
  const [q, doc, sys, what, order] = ["q", "doc", "sys", "what", "order"].map(at);
  const STEP = 40;
  let found = [], shown = 0;

  const text = (tag, content, name) => {
    const node = document.createElement(tag);
    node.textContent = content;
    if (name) node.className = name;
    return node;
  };
  // Levenshtein alignment of two short texts, as runs of equal, missing and added characters.
  const runs = (a, b) => {
    const x = [...a], y = [...b], w = y.length + 1;
    const cost = new Uint16Array((x.length + 1) * w);
    for (let i = 0; i <= x.length; i++)
      for (let j = 0; j <= y.length; j++)
        cost[i * w + j] = !i ? j : !j ? i : Math.min(cost[(i - 1) * w + j - 1] + (x[i - 1] !== y[j - 1]),
          cost[(i - 1) * w + j] + 1, cost[i * w + j - 1] + 1);
    const out = [];
    let i = x.length, j = y.length, missing = "", added = "", equal = "";
    const flush = () => {
      if (added) out.push(["ins", added]);
      if (missing) out.push(["del", missing]);
      if (equal) out.push(["", equal]);
      missing = added = equal = "";
    };
    while (i || j) {
      const here = cost[i * w + j];
      if (i && j && x[i - 1] === y[j - 1] && here === cost[(i - 1) * w + j - 1]) {
        if (missing || added) flush();
        equal = x[--i] + equal; j--;
      } else {
        if (equal) flush();
        if (i && j && here === cost[(i - 1) * w + j - 1] + 1) { missing = x[--i] + missing; added = y[--j] + added; }
        else if (j && here === cost[i * w + j - 1] + 1) added = y[--j] + added;
        else missing = x[--i] + missing;
      }
    }
    flush();
    return out.reverse();
  };
  const show = (row) => {
    const [d, page, id, reference, edits, readings] = row;
    const box = text("article", "", "line"), head = text("h3", [data.docs[d], data.pages[page], id].filter(Boolean).join(" · "));
    const list = document.createElement("dl");
    const add = (name, index, node) => {
      const term = text("dt", "", index < 0 ? "" : "c" + (index % 8));
      if (index >= 0) term.append(text("i", "", "key"));
      term.append(name);
      node.dir = "auto";
      list.append(term, node);
    };
    add("reference", -1, text("dd", reference || "(empty)", "ref"));
    readings.forEach((reading, k) => {
      const read = reading === 0 ? reference : reading, node = document.createElement("dd");
      if (reference.length * read.length > 4e5) node.textContent = read;
      else for (const [kind, piece] of runs(reference, read)) node.append(kind ? text(kind, piece) : piece);
      add(data.systems[k] + "  " + edits[k], k, node);
    });
    box.append(head, list);
    return box;
  };
  const more = () => {
    at("found").append(...found.slice(shown, shown + STEP).map(show));
    shown = Math.min(found.length, shown + STEP);
    at("more").hidden = shown >= found.length;
  };
  const find = () => {
    const words = q.value.normalize("NFC").toLowerCase().trim(), k = +sys.value;
    const wanted = doc.value === "" ? -1 : data.docs.indexOf(doc.value);
    found = data.lines.filter((row) => {
      const [d, page, id, reference, edits, readings] = row;
      if (wanted >= 0 && d !== wanted) return false;
      if (what.value === "wrong" && !edits[k]) return false;
      if (what.value === "right" && edits[k]) return false;
      if (what.value === "alone" && !edits.some((e) => e < edits[k])) return false;
      return !words || [id, data.pages[page], reference, ...readings].some((t) => t && t.toLowerCase().includes(words));
    });
    const rate = (row) => row[4][k] / Math.max(1, row[3].length);
    if (order.value === "edits") found.sort((a, b) => b[4][k] - a[4][k]);
    if (order.value === "rate") found.sort((a, b) => rate(b) - rate(a));
    at("found").replaceChildren();
    shown = 0;
    at("count").textContent = found.length.toLocaleString("en") + (found.length === 1 ? " line" : " lines");
    more();
  };
  for (const control of [doc, sys, what, order]) control.addEventListener("change", find);
  q.addEventListener("input", find);
  at("find").addEventListener("submit", (event) => event.preventDefault());
  at("more").addEventListener("click", more);
  find();

  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
    heads.forEach((head, column) => {
      if (head.classList.contains("plot")) return;
      const button = text("button", head.textContent);
      button.type = "button";
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") !== "descending" && column > 0 || head.getAttribute("aria-sort") === "ascending";
        heads.forEach((h) => h.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const value = (row) => { const t = row.cells[column].textContent.replace(/,/g, ""); return column ? parseFloat(t) || 0 : t; };
        const rows = [...body.rows].sort((a, b) => (value(a) > value(b) ? 1 : value(a) < value(b) ? -1 : 0));
        body.append(...(down ? rows.reverse() : rows));
      });
    });
  }
})();
