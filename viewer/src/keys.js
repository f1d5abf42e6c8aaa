// What each key does; the names of the actions are those of the buttons.

import { WINDOWS } from './windows.js';

export const KEYS = {
  ArrowUp: 'previous', ArrowLeft: 'previous', ArrowDown: 'next', ArrowRight: 'next',
  PageUp: 'back', PageDown: 'forward', Home: 'first', End: 'last',
  n: 'suspicious', p: 'suspicious-before',
  w: 'tool-window', s: 'tool-scroll', d: 'tool-pan', z: 'tool-zoom', l: 'tool-length', u: 'tool-probe',
  '+': 'closer', '=': 'closer', '-': 'further', f: 'fit', h: 'flip-horizontal', v: 'flip-vertical',
  m: 'mask', c: 'contour', g: 'heat', i: 'midline', '[': 'fainter', ']': 'stronger',
  Delete: 'clear', Backspace: 'clear', '?': 'help',
  ...Object.fromEntries(WINDOWS.map(({ key }) => [key, `window-${key}`])),
};

const SCROLLING = ['ArrowUp', 'ArrowDown', 'ArrowLeft', 'ArrowRight', 'PageUp', 'PageDown', 'Home', 'End'];

// Calls `act` with an action's name, but where a key is typed into a field or belongs to the browser.
export function listenToKeys(act) {
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest('input, select, textarea, dialog')) return;
    // Who has gone to the facts beside the viewer scrolls the page there, not the slices.
    if (SCROLLING.includes(event.key) && event.target.closest('[data-facts]')) return;
    const action = KEYS[event.key] ?? KEYS[event.key.toLowerCase()];
    if (!action) return;
    event.preventDefault();
    act(action);
  });
}
