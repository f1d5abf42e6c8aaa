import assert from 'node:assert/strict';
import { test } from 'node:test';
import { shiftMm } from '../src/match.js';
import { edgesOf } from '../src/outline.js';
import { Study } from '../src/study.js';
import { nameOf, rangeOf, WINDOWS, windowOf } from '../src/windows.js';

const ALONG = [1, 0, 0, 0, 1, 0];
const studyOf = (orientation, positions) =>
  new Study('', { orientation, slices: positions.map((position_mm) => ({ position_mm })) });

test('the edge of one pixel is its four sides', () => {
  const codes = new Uint8Array(9);
  codes[4] = 2;
  assert.deepEqual(edgesOf(codes, 3, 3), [[1, 1, 2, 1], [1, 2, 2, 2], [1, 1, 1, 2], [2, 1, 2, 2]]);
});

test('a mask that fills the slice has the frame as its edge, whatever its codes', () => {
  assert.deepEqual(edgesOf(Uint8Array.of(1, 2, 1, 6, 1, 1), 2, 3), [[0, 0, 3, 0], [0, 2, 3, 2], [0, 0, 0, 2], [3, 0, 3, 2]]);
});

test('the nearest slice is found where spacing is uneven', () => {
  const study = studyOf(ALONG, [[0, 0, 0], [0, 0, 5], [0, 0, 15]]);
  assert.deepEqual([-3, 2, 3, 9, 11].map((height) => study.nearest(height)), [1, 1, 2, 2, 3]);
});

test('height is measured along the normal of tilted slices', () => {
  // Down the column leans by 0.6 into z: the normal is (0, -0.6, 0.8).
  const study = studyOf([1, 0, 0, 0, 0.8, 0.6], [[7, 0, 10]]);
  assert.ok(Math.abs(study.heightMm(1) - 8) < 1e-9);
});

test('a stack without positions has no heights', () => {
  assert.ok(Number.isNaN(studyOf(ALONG, [null]).heightMm(1)));
  assert.ok(Number.isNaN(studyOf(null, [[0, 0, 0]]).heightMm(1)));
});

test('windows go to ranges and back, and are named', () => {
  for (const window of WINDOWS) {
    const back = windowOf(rangeOf(window));
    assert.deepEqual(back, { level: window.level, width: window.width });
    assert.equal(nameOf(back), window.name);
  }
  assert.deepEqual(rangeOf({ level: 40, width: 80 }), { lower: 0, upper: 80 });
  assert.equal(nameOf({ level: 1, width: 2 }), 'Own window');
});

test('two scans of one head are laid over each other by its shape, wherever the table stood', () => {
  const areaAt = (height) => 20000 * Math.sqrt(Math.max(0, 1 - (height / 90) ** 2));
  const course = (from, to, step, lift) => {
    const slices = [];
    for (let height = from; height <= to; height += step) slices.push({ heightMm: height + lift, headMm2: areaAt(height) });
    return slices;
  };
  assert.ok(Math.abs(shiftMm(course(-60, 85, 5, 0), course(-40, 88, 4, 700)) - 700) <= 2);
  assert.ok(Math.abs(shiftMm(course(-40, 88, 4, 700), course(-60, 85, 5, 0)) + 700) <= 2);
  assert.equal(shiftMm(course(-60, 85, 5, 3), course(-60, 85, 5, 3)), 0);
});

test('where positions or areas are not known nothing is shifted', () => {
  const known = [{ heightMm: 0, headMm2: 1 }, { heightMm: 5, headMm2: 2 }];
  assert.equal(shiftMm(known, [{ heightMm: NaN, headMm2: 1 }, { heightMm: NaN, headMm2: 2 }]), 0);
  assert.equal(shiftMm([{ heightMm: 0, headMm2: NaN }, { heightMm: 5, headMm2: 2 }], known), 0);
  assert.equal(shiftMm(known.slice(1), known), 0);
});
