// Loaded into JupyterLab's page by browser_page.py: where the notebook stands, and what must not be seen in it.
window.course = {
  drawn: '.jp-OutputArea :is(img, [data-mime-type="image/svg+xml"] svg)',

  cell: place => document.querySelector(`.jp-Notebook .jp-Cell[data-windowed-list-index="${place}"]`),

  opened: path => window.jupyterapp?.shell.currentWidget?.context?.path === path,

  source: place => jupyterapp.shell.currentWidget.content.model.cells.get(place).sharedModel.getSource(),

  // Some cell waits for its turn, or is being run.
  waiting: () => [...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')].some(e => e.textContent === '[*]:'),

  idle: () => !course.waiting() && jupyterapp.shell.currentWidget.sessionContext.kernelDisplayStatus === 'idle',

  // What stands under a cell, without the controls: the text of outputs that have no outputs in them.
  output: place => [...course.cell(place).querySelectorAll('.jp-OutputArea-output')]
    .filter(e => !e.querySelector('.jp-OutputArea-output'))
    .map(e => e.textContent).join('\n').trim(),

  changed: ([place, before]) => ![before, ''].includes(course.output(place)),

  inView: e => 0 < e.getBoundingClientRect().top && e.getBoundingClientRect().bottom < innerHeight - 50,

  // Outputs that are errors, or were written to stderr.
  failures: cell => [...cell.querySelectorAll('[data-mime-type$="jupyter.error"], [data-mime-type$="jupyter.stderr"]')]
    .map(e => e.textContent.trim()),

  // Pictures that did not arrive, and drawings without a size.
  unseen: cell => [...cell.querySelectorAll(course.drawn)]
    .filter(e => (e.tagName === 'IMG' ? e.naturalWidth : 1) * e.getBoundingClientRect().width === 0)
    .map(e => e.outerHTML.slice(0, 80)),

  // What is wider than its place: cut off, or behind a scroll bar.
  wide: cell => {
    const found = [], place = cell.querySelector('.jp-OutputArea');
    const right = place ? place.getBoundingClientRect().right : 0;
    for (const e of place ? place.querySelectorAll('*') : []) {
      const box = e.getBoundingClientRect(), style = getComputedStyle(e);
      if (box.width < 2 || style.visibility === 'hidden' || e.tagName === 'INPUT') continue;
      if (e.closest('svg') && e.tagName !== 'svg') continue;
      const hidden = /auto|scroll|hidden/.test(style.overflowX) ? e.scrollWidth - e.clientWidth : 0;
      const excess = Math.round(Math.max(box.right - right, hidden));
      if (excess > 1) found.push(`<${e.tagName} ${e.className}> ${excess} px: ${e.textContent.trim().slice(0, 60)}`);
    }
    return found;
  },

  // Printed lines with columns that are longer than their place, and so are folded: the columns do not stand.
  folded: cell => [...cell.querySelectorAll('.jp-OutputArea pre')].flatMap(pre => {
    const style = getComputedStyle(pre), canvas = document.createElement('canvas').getContext('2d');
    canvas.font = `${style.fontSize} ${style.fontFamily}`;
    const place = pre.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
    return pre.textContent.split('\n').filter(line => /\S {2,}\S/.test(line) && canvas.measureText(line).width > place + 1);
  }),

  // Texts whose colour is too near to what lies under them: a contrast below 3, WCAG's bound for large text.
  // Texts over pictures are left out.
  faint: cell => {
    const found = [], place = cell.querySelector('.jp-OutputArea');
    if (!place) return found;
    const walker = document.createTreeWalker(place, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const e = walker.currentNode.parentElement, range = document.createRange();
      if (!walker.currentNode.textContent.trim() || e.closest('style, title, option, :disabled')) continue;
      range.selectNodeContents(walker.currentNode);
      const box = [...range.getClientRects()].find(each => each.width > 2);
      const style = getComputedStyle(e);
      if (!box || style.visibility === 'hidden') continue;
      const colour = numbers(e instanceof SVGElement ? style.fill : style.color);
      const behind = colourBehind(e, box.left + box.width / 2, box.top + box.height / 2);
      if (!behind || !isOpaque(colour)) continue;
      const [high, low] = [luminance(colour), luminance(behind)].sort((a, b) => b - a);
      const contrast = (high + 0.05) / (low + 0.05);
      if (contrast < 3) found.push(`${contrast.toFixed(1)} rgb(${colour}) on rgb(${behind}): ${e.textContent.trim().slice(0, 60)}`);
    }
    return found;
  },
};

function numbers(colour) {
  return (colour.match(/[\d.]+/g) || []).map(Number);
}

function isOpaque(colour) {
  return colour.length >= 3 && (colour.length < 4 || colour[3] > 0.6);
}

// Relative luminance of sRGB, 0 to 1.
function luminance(colour) {
  const [r, g, b] = colour.slice(0, 3)
    .map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

// The colour that lies under a text at a point; null over a picture. Lines and other texts do not count.
function colourBehind(text, x, y) {
  for (const e of document.elementsFromPoint(x, y)) {
    if (text.contains(e)) {
      const own = e instanceof SVGElement ? [] : numbers(getComputedStyle(e).backgroundColor);
      if (isOpaque(own)) return own;
      continue;
    }
    if (['IMG', 'CANVAS', 'image'].includes(e.tagName)) return null;
    if (['text', 'tspan', 'line', 'polyline'].includes(e.tagName)) continue;
    const style = getComputedStyle(e), isShape = e instanceof SVGElement && e.tagName !== 'svg';
    const colour = numbers(isShape ? style.fill : style.backgroundColor);
    if (isOpaque(colour)) return colour;
  }
  return null;
}
