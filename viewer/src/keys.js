// What each key does; the names of the actions are those of the buttons.

import { WINDOWS } from './windows.js';

export const KEYS = {
  ArrowUp: 'previous', ArrowLeft: 'previous', ArrowDown: 'next', ArrowRight: 'next',
  PageUp: 'back', PageDown: 'forward', Home: 'first', End: 'last',
  n: 'suspicious', p: 'suspicious-before',
  w: 'tool-window', s: 'tool-scroll', d: 'tool-pan', z: 'tool-zoom', l: 'tool-length', u: 'tool-probe',
  '+': 'closer', '=': 'closer', '-': 'further', f: 'fit', h: 'flip-horizontal', v: 'flip-vertical',
  m: 'mask', c: 'contour', g: 'heat', '[': 'fainter', ']': 'stronger',
  Delete: 'clear', Backspace: 'clear', '?': 'help',
  ...Object.fromEntries(WINDOWS.map(({ key }) => [key, `window-${key}`])),
};

// Calls `act` with an action's name, but where a key is typed into a field or belongs to the browser.
export function listenToKeys(act) {
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest('input, select, textarea, dialog')) return;
    const action = KEYS[event.key] ?? KEYS[event.key.toLowerCase()];
    if (!action) return;
    event.preventDefault();
    act(action);
  });
}
