// The form that sends a whole study: limits told before the upload, its progress, a button to stop it. Where it leads to
// a study, that page is opened; else the answer is shown in place.

import { list, megabytes } from './upload.js';

export function enhanceSending(form) {
  const inputs = [...form.querySelectorAll('input[type=file]')];
  const files = () => inputs.flatMap((input) => [...input.files]);
  const status = form.querySelector('[data-status]');
  for (const input of inputs) {
    input.addEventListener('change', () => {
      list(form.querySelector('[data-chosen]'), files().slice(0, 5));
      status.textContent = problem(form, files()) || summary(files());
    });
  }
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    if (form.hasAttribute('aria-busy')) return;
    const trouble = problem(form, files()) || (files().length ? '' : 'Choose a study first: files, a folder or a ZIP archive.');
    if (trouble) {
      status.textContent = trouble;
      inputs[0].focus();
    } else {
      send(form, files(), status);
    }
  });
}

function problem(form, files) {
  const { maxUpload, maxFiles } = form.dataset;
  const total = sum(files);
  if (files.length > maxFiles) return `Up to ${maxFiles} files are taken at a time; ${files.length} were chosen. Pack them as a ZIP archive.`;
  return total > maxUpload ? `Together the files are ${megabytes(total)}; ${megabytes(maxUpload)} are taken at a time.` : '';
}

const sum = (files) => files.reduce((total, file) => total + file.size, 0);
const summary = (files) => (files.length ? `${files.length} ${files.length === 1 ? 'file' : 'files'}, ${megabytes(sum(files))}` : '');

function send(form, files, status) {
  const progress = form.querySelector('[data-progress]');
  const bar = progress.querySelector('progress');
  const cancel = progress.querySelector('[data-cancel]');
  const starter = form.querySelector('.primary');
  const fields = new FormData(form);
  fields.delete('files');
  for (const file of files) fields.append('files', file, file.webkitRelativePath || file.name);
  const request = new XMLHttpRequest();
  const settle = (text) => {
    form.removeAttribute('aria-busy');
    starter.disabled = false;
    progress.hidden = true;
    status.textContent = text;
  };
  request.open('POST', form.action);
  request.responseType = 'document';
  request.upload.addEventListener('progress', ({ loaded, total }) => { bar.value = total ? loaded / total : 0; });
  request.upload.addEventListener('load', () => {
    bar.removeAttribute('value');
    status.textContent = 'Looking at the files …';
  });
  request.addEventListener('load', () => {
    const main = request.response?.querySelector('main');
    if (request.status < 400 && request.responseURL !== form.action) location.assign(request.responseURL);
    else if (main && (request.status < 400 || request.status === 422)) {
      document.querySelector('main').replaceWith(document.importNode(main, true));
      scrollTo(0, 0);
    } else settle(main?.querySelector('h1')?.textContent ?? `The server answered ${request.status} and nothing to show. Try again.`);
  });
  request.addEventListener('error', () => settle('The server could not be reached. Check the connection and try again.'));
  request.addEventListener('abort', () => settle('Cancelled.'));
  cancel.onclick = () => request.abort();
  form.setAttribute('aria-busy', 'true');
  progress.hidden = false;
  cancel.focus({ preventScroll: true });
  starter.disabled = true;
  bar.value = 0;
  status.textContent = 'Uploading …';
  request.send(fields);
}
