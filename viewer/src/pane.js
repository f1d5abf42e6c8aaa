// One study on the screen: the slice in a stack viewport, what was found over it, and where one is in the stack.

import { Enums, imageLoader } from '@cornerstonejs/core';
import { annotation } from '@cornerstonejs/tools';
import { imageIdsOf } from './images.js';
import { Overlay } from './overlay.js';
import { Strip } from './strip.js';
import { nameOf, rangeOf, WINDOWS, windowOf } from './windows.js';

const AHEAD = 30; // slices that are fetched before they are asked for, to both sides
const AT_ONCE = 3;
const WHEEL_STEP_PX = 40; // a notch of a wheel is more; a trackpad sends many small steps

export class Pane {
  #root;
  #viewport;
  #imageIds;
  #overlay;
  #strip;
  #look;
  #wanted = 0;
  #first; // the window to open with
  #opened = false;
  #working = false;
  #fetching = false;
  #fetched = new Set();
  #wheel = 0;

  // `look` says what is drawn over the slice and is shared by all panes; `told` is called with (pane, what).
  constructor(root, study, { engine, tools, look, told }) {
    this.#root = root;
    this.study = study;
    this.told = told;
    this.#look = look;
    this.number = 0;
    const screen = this.find('[data-screen]');
    const viewportId = `study-${study.outline.key}`;
    engine.enableElement({ viewportId, type: Enums.ViewportType.STACK, element: screen });
    tools.addViewport(viewportId, engine.id);
    this.#viewport = engine.getViewport(viewportId);
    const over = this.find('[data-overlay]');
    screen.querySelector('svg').before(over); // over the slice and under what is measured
    this.#overlay = new Overlay(over, study);
    this.#strip = new Strip(this.find('[data-strip]'), study, (number) => this.show(number));
    this.#listen(screen);
  }

  find(selector) { return this.#root.querySelector(selector); }

  async open(number, window = WINDOWS[0]) {
    this.#first = window;
    this.#imageIds = imageIdsOf(this.study);
    this.#wanted = number;
    if (!(await this.#attempt(() => this.#viewport.setStack(this.#imageIds, number - 1)))) return;
    this.window = window;
    this.#arrived(number);
    this.#opened = true;
  }

  // Goes to a slice. While one loads, later wishes replace each other: the last one counts.
  async show(number) {
    this.#wanted = Math.min(Math.max(number, 1), this.study.count);
    if (this.#working) return;
    this.#working = true;
    while (this.number !== this.#wanted) {
      const next = this.#wanted;
      if (!(await this.#attempt(() => this.#viewport.setImageIdIndex(next - 1)))) break;
      if (this.number !== next) this.#arrived(next);
    }
    this.#working = false;
  }

  step(by) { return this.show(this.#wanted + by); }

  // The next slice in that direction on which the model did not decide for none.
  jump(direction) {
    const { slices } = this.study.outline;
    for (let number = this.number + direction; number >= 1 && number <= this.study.count; number += direction) {
      if (slices[number - 1].finding !== 'none') return this.show(number);
    }
    this.told(this, 'none');
    return undefined;
  }

  get window() { return windowOf(this.#viewport.getProperties().voiRange); }

  set window(window) {
    this.#viewport.setProperties({ voiRange: rangeOf(window) });
    this.#viewport.render();
  }

  zoom(factor) {
    this.#viewport.setZoom(this.#viewport.getZoom() * factor);
    this.#viewport.render();
  }

  fit() {
    this.#viewport.resetCamera();
    this.#viewport.render();
  }

  flip(direction) {
    this.#viewport.setCamera({ [direction]: !this.#viewport.getCamera()[direction] });
    this.#viewport.render();
  }

  clearMeasurements() {
    annotation.state.removeAllAnnotations();
    this.#viewport.render();
  }

  // Draws what lies over the slice anew: after a change of the look, and after every change of the slice's place.
  async refresh() {
    try {
      if (await this.#overlay.prepare(this.number, this.#look)) this.#draw();
    } catch {
      this.#say('What was found on this slice did not load.');
    }
  }

  #listen(screen) {
    const { Events } = Enums;
    screen.addEventListener(Events.IMAGE_RENDERED, () => this.#draw());
    screen.addEventListener(Events.VOI_MODIFIED, () => {
      this.#tellWindow();
      if (this.#opened) this.told(this, 'window');
    });
    screen.addEventListener(Events.STACK_NEW_IMAGE, ({ detail }) => {
      if (!this.#working) this.#wanted = detail.imageIdIndex + 1; // the scroll tool moved it
      this.#arrived(detail.imageIdIndex + 1);
    });
    screen.addEventListener('wheel', (event) => {
      event.preventDefault();
      this.#wheel += event.deltaMode ? event.deltaY * WHEEL_STEP_PX : event.deltaY;
      const steps = Math.trunc(this.#wheel / WHEEL_STEP_PX);
      this.#wheel -= steps * WHEEL_STEP_PX;
      if (steps) this.step(Math.sign(steps) * Math.min(Math.abs(steps), 2));
    }, { passive: false });
    this.find('[data-retry]').addEventListener('click', () => {
      this.#say('');
      if (!this.#opened) this.open(this.#wanted, this.#first);
      else if (this.number !== this.#wanted) this.show(this.#wanted);
      else this.refresh(); // only what lies over the slice was missing
    });
  }

  #arrived(number) {
    if (this.number === number) return;
    this.number = number;
    this.#overlay.clear();
    this.#strip.mark(number);
    const { probabilities, finding } = this.study.slice(number);
    const any = Math.round((probabilities.any ?? 0) * 100);
    this.find('[data-number]').textContent = `${number} / ${this.study.count}`;
    const says = this.find('[data-finding]');
    const midline = this.study.midline(number);
    const shift = midline ? `, midline shift ${midline.shift_mm.toFixed(1)} mm` : '';
    says.textContent = `${{ hemorrhage: 'Hemorrhage', uncertain: 'Uncertain', none: 'None found' }[finding]}, any ${any} %${shift}`;
    says.dataset.finding = finding;
    this.find('[data-screen]').setAttribute('aria-label', `Slice ${number} of ${this.study.count}. ${says.textContent}`);
    this.refresh();
    this.#fetchAhead();
    this.told(this, 'slice');
  }

  #draw() {
    const { origin, spacing, direction } = this.#viewport.getImageData() ?? {};
    if (!origin) return;
    const world = (column, row) => origin.map((start, axis) =>
      start + direction[axis] * column * spacing[0] + direction[3 + axis] * row * spacing[1]);
    this.#overlay.draw((column, row) => this.#viewport.worldToCanvas(world(column, row)), this.#look);
  }

  #tellWindow() {
    const window = this.window;
    this.find('[data-window]').textContent = `${nameOf(window)} ${window.level}/${window.width} HU`;
  }

  async #attempt(action) {
    try {
      await action();
      this.#say('');
      return true;
    } catch {
      this.#say(`Slice ${this.#wanted} did not load.`);
      return false;
    }
  }

  #say(text) {
    this.find('[data-trouble]').hidden = !text;
    this.find('[data-trouble-text]').textContent = text;
  }

  // The neighbours, nearest first; a slice that fails is told of when it is asked for.
  async #fetchAhead() {
    if (this.#fetching) return;
    this.#fetching = true;
    for (let numbers = this.#nextAhead(); numbers.length; numbers = this.#nextAhead()) {
      for (const number of numbers) this.#fetched.add(number);
      await Promise.allSettled(numbers.flatMap(
        (number) => [imageLoader.loadAndCacheImage(this.#imageIds[number - 1]), this.study.mask(number)],
      ));
    }
    this.#fetching = false;
  }

  #nextAhead() {
    const distance = ({ number }) => Math.abs(number - this.number);
    return this.study.outline.slices
      .filter((one) => distance(one) <= AHEAD && !this.#fetched.has(one.number))
      .sort((one, other) => distance(one) - distance(other))
      .slice(0, AT_ONCE).map(({ number }) => number);
  }
}
