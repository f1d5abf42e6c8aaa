// What was found, drawn over the slice: mask, its contour and the heat map, through the same turn and zoom as the slice.

import { edgesOf } from './outline.js';

// As in hemoscope/render.py.
const IDEAL = '#ffffff';
const FOUND = '#66ff66';

export class Overlay {
  #context;
  #study;
  #layers = {}; // of the slice that is shown: { fill, edges, heat }
  #number = 0;

  constructor(canvas, study) {
    this.#context = canvas.getContext('2d');
    this.#study = study;
  }

  // Fetches the layers of a slice; false where another slice was asked for in the meantime.
  async prepare(number, wanted) {
    this.#number = number;
    const [codes, heat] = await Promise.all([
      this.#study.mask(number), wanted.heat ? this.#study.heat(number) : null,
    ]);
    if (this.#number !== number) return false;
    this.#layers = { ...(codes && this.#drawn(codes)), heat, midline: this.#study.midline(number) };
    return true;
  }

  clear() {
    this.#layers = {};
  }

  // `toCanvas` takes (column, row) of a pixel's corner to [x, y] on the canvas, in CSS pixels.
  draw(toCanvas, { opacity, contour, heat, midline }) {
    const context = this.#context;
    const { canvas } = context;
    const ratio = devicePixelRatio;
    const [width, height] = [canvas.clientWidth * ratio, canvas.clientHeight * ratio].map(Math.round);
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, width, height);
    const [x, y] = toCanvas(0, 0), [right, alongY] = toCanvas(1, 0), [downX, down] = toCanvas(0, 1);
    const turn = [right - x, alongY - y, downX - x, down - y, x, y].map((value) => value * ratio);
    context.setTransform(...turn);
    const { rows, columns } = this.#study.outline;
    if (heat && this.#layers.heat) {
      context.imageSmoothingEnabled = true;
      context.globalAlpha = 0.6;
      context.drawImage(this.#layers.heat, 0, 0, columns, rows);
    }
    const scale = Math.hypot(turn[0], turn[1]);
    if (this.#layers.fill) {
      context.imageSmoothingEnabled = false;
      context.globalAlpha = opacity;
      context.drawImage(this.#layers.fill, 0, 0);
      context.globalAlpha = 1;
      if (contour) this.#stroke(ratio, scale);
    }
    context.globalAlpha = 1;
    if (midline && this.#layers.midline) this.#lines(this.#layers.midline, ratio / scale);
  }

  // The middle of the skull, dashed, and of the brain; `thin` is a pixel of the screen in those of the slice.
  #lines({ ideal_px: ideal, midline_px: found }, thin) {
    const context = this.#context;
    for (const [places, colour, dash] of [[ideal, IDEAL, [6 * thin, 5 * thin]], [found, FOUND, []]]) {
      context.beginPath();
      for (const [row, column] of places) context.lineTo(column + 0.5, row + 0.5); // from a pixel's centre to its corner
      context.setLineDash(dash);
      context.lineWidth = 1.5 * thin;
      context.strokeStyle = colour;
      context.stroke();
    }
    context.setLineDash([]);
  }

  #stroke(ratio, scale) {
    const context = this.#context;
    context.lineWidth = (1.5 * ratio) / scale;
    context.lineCap = 'square';
    context.strokeStyle = this.#study.outline.codes[0].colour;
    context.stroke(this.#layers.edges);
  }

  #drawn(codes) {
    const { rows, columns } = this.#study.outline;
    const colours = this.#study.outline.codes.map(({ colour }) => Number.parseInt(colour.slice(1), 16));
    const fill = new OffscreenCanvas(columns, rows);
    const picture = new ImageData(columns, rows);
    codes.forEach((code, place) => {
      if (!code) return;
      const colour = colours[code - 1];
      picture.data.set([colour >> 16, (colour >> 8) & 255, colour & 255, 255], place * 4);
    });
    fill.getContext('2d').putImageData(picture, 0, 0);
    const edges = new Path2D();
    for (const [x0, y0, x1, y1] of edgesOf(codes, rows, columns)) {
      edges.moveTo(x0, y0);
      edges.lineTo(x1, y1);
    }
    return { fill, edges };
  }
}
