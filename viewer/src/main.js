// The viewer of a study. The page is complete without it: slices as pictures, one at a time.

import { cache, init as initCore, RenderingEngine, Settings, setUseCPURendering } from '@cornerstonejs/core';
import { init as initTools } from '@cornerstonejs/tools';
import { registerImages } from './images.js';
import { listenToKeys } from './keys.js';
import { shiftMm } from './match.js';
import { Pane } from './pane.js';
import { openStudy } from './study.js';
import { chooseTool, makeTools } from './tools.js';
import { WINDOWS } from './windows.js';

const MEMORY_BYTES = 400e6; // some 750 slices of 512 x 512; the oldest go first

class Viewer {
  #root;
  #group = makeTools();
  #engine = new RenderingEngine('viewer');
  #look = { opacity: 0.45, contour: true, heat: false, midline: true };
  #shifts = new Map(); // [from, to] of two studies' keys: what to add to a height
  #panes = [];
  #active = 0;
  #sizes = new ResizeObserver(() => this.#engine.resize(true, false));

  constructor(root) {
    this.#root = root;
    const actions = this.#actions();
    root.addEventListener('click', ({ target }) => actions[target.closest('[data-act]')?.dataset.act]?.());
    listenToKeys((name) => actions[name]?.());
    document.addEventListener('click', (event) => this.#followLink(event));
    root.querySelector('[data-opacity]').addEventListener('input', ({ target }) => this.#setOpacity(target.value / 100));
    this.#choose(matchMedia('(pointer: coarse)').matches ? 'scroll' : 'window');
  }

  get #pane() { return this.#panes[this.#active]; }

  // `beginning` takes the study and gives the number of the slice to begin with.
  async open(address, beginning, window) {
    const study = await openStudy(address);
    const template = this.#root.querySelector('template');
    const element = template.content.firstElementChild.cloneNode(true);
    this.#root.querySelector('[data-panes]').append(element);
    const place = this.#panes.length;
    element.addEventListener('pointerdown', () => { this.#active = place; }, true);
    element.setAttribute('aria-label', study.outline.title);
    element.querySelector('[data-title-of]').textContent = study.outline.title;
    const pane = new Pane(element, study, {
      engine: this.#engine, tools: this.#group, look: this.#look, told: (from, what) => this.#told(from, what),
    });
    this.#panes.push(pane);
    this.#sizes.observe(pane.find('[data-screen]'));
    await pane.open(beginning(study), window);
  }

  // A link to a slice goes there in the viewer; with a key held it is the browser's.
  async #followLink(event) {
    const link = event.target.closest('a[data-jump]');
    if (!link || !this.#panes.length || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    this.#active = 0;
    this.#root.querySelector('[data-panes]').scrollIntoView({ block: 'nearest' });
    await this.#pane.show(Number(link.dataset.jump));
    this.#pane.find('[data-strip]').focus({ preventScroll: true }); // which tells the slice, and takes the arrows
  }

  #actions() {
    const all = (act) => () => this.#panes.forEach(act);
    return {
      previous: () => this.#pane.step(-1), next: () => this.#pane.step(1),
      back: () => this.#pane.step(-10), forward: () => this.#pane.step(10),
      first: () => this.#pane.show(1), last: () => this.#pane.show(this.#pane.study.count),
      suspicious: () => this.#pane.jump(1), 'suspicious-before': () => this.#pane.jump(-1),
      closer: all((pane) => pane.zoom(1.25)), further: all((pane) => pane.zoom(0.8)), fit: all((pane) => pane.fit()),
      'flip-horizontal': all((pane) => pane.flip('flipHorizontal')),
      'flip-vertical': all((pane) => pane.flip('flipVertical')),
      mask: () => this.#setOpacity(this.#look.opacity ? 0 : 0.45),
      fainter: () => this.#setOpacity(this.#look.opacity - 0.1), stronger: () => this.#setOpacity(this.#look.opacity + 0.1),
      contour: () => this.#toggle('contour'), heat: () => this.#toggle('heat'), midline: () => this.#toggle('midline'),
      clear: all((pane) => pane.clearMeasurements()),
      help: () => this.#root.querySelector('dialog').showModal(),
      compare: () => this.#compare(),
      ...Object.fromEntries(['window', 'scroll', 'pan', 'zoom', 'length', 'probe'].map((name) =>
        [`tool-${name}`, () => this.#choose(name)])),
      ...Object.fromEntries(WINDOWS.map((window) =>
        [`window-${window.key}`, () => { this.#pane.window = window; }])),
    };
  }

  #choose(tool) {
    chooseTool(this.#group, tool);
    for (const button of this.#root.querySelectorAll('[data-act^="tool-"]')) {
      button.setAttribute('aria-pressed', button.dataset.act === `tool-${tool}`);
    }
  }

  #toggle(name) {
    this.#look[name] = !this.#look[name];
    this.#root.querySelector(`[data-act="${name}"]`)?.setAttribute('aria-pressed', this.#look[name]);
    this.#panes.forEach((pane) => pane.refresh());
  }

  #setOpacity(opacity) {
    this.#look.opacity = Math.min(Math.max(Math.round(opacity * 100) / 100, 0), 1);
    const slider = this.#root.querySelector('[data-opacity]');
    slider.value = this.#look.opacity * 100;
    slider.setAttribute('aria-valuetext', `${slider.value} percent`);
    this.#panes.forEach((pane) => pane.refresh());
  }

  // The prior beside the study; then windows and levels of the body go together.
  async #compare() {
    const button = this.#root.querySelector('[data-act="compare"]');
    button.disabled = true;
    this.#say('Loading the prior study …');
    try {
      await this.open(button.dataset.address, (prior) => this.#beside(prior), this.#pane.window);
      this.#sayShift();
      this.#say('');
    } catch {
      button.disabled = false;
      this.#say('The prior study did not load. Try again.');
    }
  }

  // What one pane did, the others follow: the same window, and the slice at the same height.
  #told(from, what) {
    if (what === 'none') this.#say('No further suspicious slice in this direction.');
    if (what === 'slice') this.#say('');
    for (const other of this.#panes.filter((pane) => pane !== from && pane.number)) {
      if (what === 'slice' && from === this.#pane) other.show(this.#beside(other.study));
      if (what === 'window' && !same(other.window, from.window)) other.window = from.window;
    }
  }

  // The number of the other study's slice at the height of the one that is shown, or with its number where none is known.
  #beside(study) {
    const height = this.#pane.study.heightMm(this.#pane.number);
    if (Number.isNaN(height) || Number.isNaN(study.heightMm(1))) return Math.min(this.#pane.number, study.count);
    return study.nearest(height + this.#shift(this.#pane.study, study));
  }

  #shift(from, to) {
    const pair = `${from.outline.key} ${to.outline.key}`;
    if (!this.#shifts.has(pair)) {
      const shift = shiftMm(from.course, to.course);
      this.#shifts.set(pair, shift).set(`${to.outline.key} ${from.outline.key}`, -shift);
    }
    return this.#shifts.get(pair);
  }

  #sayShift() {
    const [study, prior] = this.#panes.map((pane) => pane.study);
    const placed = [study, prior].every((one) => !Number.isNaN(one.heightMm(1)));
    const shift = placed ? Math.abs(this.#shift(study, prior)) : 0;
    const how = !placed ? 'Linked by number' : shift ? `Linked by the shape of the head, ${shift} mm apart` : 'Linked by height';
    this.#panes[1].find('[data-linked]').textContent = how;
  }

  #say(text) { this.#root.querySelector('[data-said]').textContent = text; }
}

const same = (one, other) => one.level === other.level && one.width === other.width;

async function start(root) {
  try {
    initCore();
    setUseCPURendering(true); // the same path, and the same pixels, on every machine
    Settings.getRuntimeSettings().set('useCursors', false); // they are pictures that the page's policy forbids
    initTools();
    cache.setMaxCacheSize(MEMORY_BYTES);
    registerImages();
    root.hidden = false;
    await new Viewer(root).open(root.dataset.address, () => Number(root.dataset.number));
    document.querySelector('[data-plain]').hidden = true;
  } catch (error) {
    root.hidden = true;
    document.querySelector('[data-plain-trouble]').hidden = false;
    throw error;
  }
}

for (const root of document.querySelectorAll('[data-study]')) start(root);
