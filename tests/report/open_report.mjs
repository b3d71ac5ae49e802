// Opens a report in headless Chromium and checks what a reader would meet.
//
// usage: node open_report.mjs CHROMIUM PAGE.html EXPECT.json SHOTS
// EXPECT.json: {"charts": number of charts, "texts": [texts that the page must show], "points":
// number of points drawn in all charts, legends aside (only checked if it is there)}.
// Writes SHOTS-<view>.png; prints one line a fault; exit code 1 if there is one.
import {readFileSync} from 'node:fs';
import {pathToFileURL} from 'node:url';
import {chromium} from 'playwright-core';

const [browserPath, pagePath, expectPath, shots] = process.argv.slice(2);
const expected = JSON.parse(readFileSync(expectPath, 'utf8'));
const url = pathToFileURL(pagePath).href;
const views = [
  {name: 'light', width: 1280, colorScheme: 'light', media: 'screen'},
  {name: 'dark', width: 1280, colorScheme: 'dark', media: 'screen'},
  {name: 'narrow', width: 360, colorScheme: 'light', media: 'screen'},
  {name: 'narrow-dark', width: 360, colorScheme: 'dark', media: 'screen'},
  {name: 'paper', width: 760, colorScheme: 'dark', media: 'print'},
];

// Runs in the page: faults of what is drawn, by name, one text each.
function inspect() {
  const faults = [];
  const boxes = [...document.querySelectorAll('[data-spec]')];
  for (const box of boxes) {
    const name = box.getAttribute('aria-label');
    const picture = box.querySelector('svg');
    const size = picture ? picture.getBoundingClientRect() : {width: 0, height: 0};
    if (box.dataset.state !== 'drawn') faults.push(`chart not drawn: ${name}`);
    if (size.width < 40 || size.height < 10) {
      faults.push(`chart is ${size.width} x ${size.height}: ${name}`);
    }
    if (picture && !picture.querySelector('path[d], image, text')) {
      faults.push(`chart is empty: ${name}`);
    }
    const frame = box.closest('figure').getBoundingClientRect();
    if (size.right > frame.right + 1) {
      faults.push(`chart leaves its frame by ${size.right - frame.right} px: ${name}`);
    }
    if (box.getAttribute('role') !== 'img' || !name) faults.push('chart without role and label');
    if (/NaN|undefined|Infinity/.test(picture ? picture.outerHTML.replace(/data:[^"]*/g, '') : '')) {
      faults.push(`chart has a value that is no number: ${name}`);
    }
  }
  const root = document.documentElement;
  if (root.scrollWidth > root.clientWidth) {
    const wide = [...document.querySelectorAll('body *:not(svg *, .scroll *)')]
        .filter((e) => e.getBoundingClientRect().right > root.clientWidth + 1)
        .map((e) => e.tagName + '.' + e.className);
    faults.push(`page is ${root.scrollWidth} px wide in ${root.clientWidth}: ${wide.slice(0, 5)}`);
  }
  if (!root.lang || !document.title) faults.push('page without language or title');
  if (document.querySelectorAll('h1').length !== 1) faults.push('one h1 expected');
  const levels = [...document.querySelectorAll('h1, h2, h3')].map((h) => Number(h.tagName[1]));
  levels.forEach((level, i) => {
    if (i > 0 && level > levels[i - 1] + 1) faults.push(`heading h${level} after h${levels[i - 1]}`);
  });
  for (const table of document.querySelectorAll('main table')) {
    const heads = [...table.querySelectorAll('th')];
    if (heads.some((head) => head.getBoundingClientRect().height > 160)) {
      faults.push('table with a column too narrow for its words');
    }
    if (heads.length === 0 || heads.some((head) => !head.scope)) faults.push('table without scopes');
  }
  for (const image of document.querySelectorAll('main img')) {
    if (!image.alt) faults.push('image without alt');
  }
  const ids = [...document.querySelectorAll('[id]')].map((e) => e.id)
      .filter((id) => !id.startsWith('gradient') && !id.startsWith('clip'));
  if (new Set(ids).size !== ids.length) faults.push('an id occurs twice');
  if (document.querySelector('main b script, main b section')) faults.push('markup from a name');
  const points = document.querySelectorAll('.mark-symbol.role-mark path[d]').length;
  return {faults, charts: boxes.length, points, text: document.body.innerText};
}

// Runs in the page: texts with less contrast than WCAG 2 AA asks for (4.5; 3 where large).
function lowContrast() {
  const parse = (color) => (color.match(/[\d.]+/g) || []).map(Number);
  const luminance = ([r, g, b]) => [r, g, b].map((v) => v / 255)
      .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
      .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const background = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const color = parse(getComputedStyle(e).backgroundColor);
      if (color.length === 3 || color[3] > 0) return color;
    }
    return [255, 255, 255];
  };
  const faults = [];
  for (const e of document.querySelectorAll('header *, main *:not(svg *), footer *, svg text')) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || e.tagName === 'SCRIPT' || e.closest('.mark-text')) continue;  // text on bars and cells
    const style = getComputedStyle(e);
    const color = parse(e instanceof SVGElement ? style.fill : style.color);
    const [a, b] = [luminance(color), luminance(background(e))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < (parseFloat(style.fontSize) >= 24 ? 3 : 4.5)) {
      faults.push(`contrast ${ratio.toFixed(2)}: ${e.textContent.trim().slice(0, 40)}`);
    }
  }
  return [...new Set(faults)].slice(0, 5);
}

const browser = await chromium.launch({
  executablePath: browserPath,
  headless: true,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
         '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
const faults = [];
try {
  for (const view of views) {
    const fault = (text) => faults.push(`${view.name}: ${text}`);
    const context = await browser.newContext(
        {viewport: {width: view.width, height: 900}, colorScheme: view.colorScheme});
    const page = await context.newPage();
    await page.emulateMedia({media: view.media, colorScheme: view.colorScheme});
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) fault(`console: ${message.text()}`);
    });
    page.on('pageerror', (error) => fault(`error: ${error.message}`));
    page.on('request', (request) => {
      if (request.url() !== url && !request.url().startsWith('data:')) {
        fault(`asks for ${request.url()}`);
      }
    });
    await page.goto(url);
    await page.waitForFunction(
        () => [...document.querySelectorAll('[data-spec]')].every((box) => box.dataset.state),
        undefined, {timeout: 60000});
    const seen = await page.evaluate(inspect);
    seen.faults.forEach(fault);
    if (view.media === 'screen') (await page.evaluate(lowContrast)).forEach(fault);
    if (seen.charts !== expected.charts) {
      fault(`${expected.charts} charts expected, ${seen.charts} found`);
    }
    if (expected.points !== undefined && seen.points !== expected.points) {
      fault(`${expected.points} points expected, ${seen.points} found`);
    }
    for (const text of expected.texts) {
      if (!seen.text.includes(text)) fault(`the page does not say "${text}"`);
    }
    await page.screenshot({path: `${shots}-${view.name}.png`, fullPage: true});
    await context.close();
  }
} finally {
  await browser.close();
}
for (const text of faults) console.log(text);
process.exit(faults.length > 0 ? 1 : 0);
