// Enhances the pages: they are complete without it.

import { acceptDrops } from './drop.js';
import { enhanceSending } from './send.js';
import { enhanceUpload } from './upload.js';
import { enhanceViewers } from './viewer.js';

export function enhance(root) {
  for (const element of root.querySelectorAll('[data-script]')) element.hidden = false;
  for (const form of root.querySelectorAll('form.upload')) enhanceUpload(form, showAnswer);
  for (const element of root.querySelectorAll('form.sending')) enhanceSending(element);
  enhanceViewers(root);
}

let shown = location.pathname;

// Puts the answer to a post in the place of the page that sent it.
function showAnswer(answer) {
  const main = document.importNode(answer.querySelector('main'), true);
  const sent = fileInput(document)?.files;
  document.querySelector('main').replaceWith(main);
  document.title = answer.title;
  if (location.pathname !== '/read') history.pushState(null, '', '/read');
  shown = location.pathname;
  enhance(main);
  if (sent?.length && main.querySelector('form.upload .options')) chooseAgain(fileInput(main), sent);
  scrollTo(0, 0);
  const wrong = main.querySelector('[aria-invalid]');
  if (wrong) wrong.focus(); // and into view
  else (main.querySelector('[data-title]') ?? main).focus({ preventScroll: true });
}

const fileInput = (root) => root.querySelector('form.upload input[type=file]');

// A form that came back because a field was wrong keeps the files that were chosen.
function chooseAgain(input, files) {
  input.files = files;
  input.dispatchEvent(new Event('change'));
}

// Back to the form; a step between places of one result keeps it, for it could not be loaded again.
addEventListener('popstate', () => {
  if (location.pathname !== shown) location.reload();
});
enhance(document);
acceptDrops(document.querySelector('[data-told]'));
