// Enhances the pages: they are complete without it.

import { enhanceUpload } from './upload.js';
import { enhanceViewers } from './viewer.js';

export function enhance(root) {
  for (const element of root.querySelectorAll('[data-script]')) element.hidden = false;
  for (const form of root.querySelectorAll('form.upload')) enhanceUpload(form, showAnswer);
  enhanceViewers(root);
}

let shown = location.pathname;

// Puts the answer to a post in the place of the page that sent it.
function showAnswer(answer) {
  const main = document.importNode(answer.querySelector('main'), true);
  document.querySelector('main').replaceWith(main);
  document.title = answer.title;
  if (location.pathname !== '/read') history.pushState(null, '', '/read');
  shown = location.pathname;
  enhance(main);
  scrollTo(0, 0);
  (main.querySelector('[data-title]') ?? main).focus({ preventScroll: true });
}

// Back to the form; a step between places of one result keeps it, for it could not be loaded again.
addEventListener('popstate', () => {
  if (location.pathname !== shown) location.reload();
});
enhance(document);
