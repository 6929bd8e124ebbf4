# dithead in a container. The first is for any CPU, the second for NVIDIA cards (with NVIDIA's container toolkit):
#   docker build -t dithead .
#   docker build -t dithead:cuda --target cuda .
#   docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/work" dithead generate ...
#   docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/work" --gpus all dithead:cuda generate ...
# compose.yaml builds the image of a server with EXTRAS="[serve]".

ARG PYTHON=3.13

FROM python:${PYTHON}-slim AS wheel
WORKDIR /src
COPY pyproject.toml README.md LICENSE constraints.txt ./
RUN pip install --no-cache-dir -c constraints.txt build hatchling
COPY src src
RUN python -m build --no-isolation --wheel --outdir /dist .

FROM python:${PYTHON}-slim AS base
# A container runs as the user who starts it, who has no home in it.
ENV HOME=/tmp USER=dithead PYTHONUNBUFFERED=1
WORKDIR /work
ENTRYPOINT ["dithead"]
CMD ["--help"]

# PyPI's torch for Linux on x86-64 brings the CUDA libraries.
FROM base AS cuda
ARG EXTRAS=""
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY constraints.txt /tmp/constraints.txt
COPY --from=wheel /dist /tmp/dist
RUN pip install --no-cache-dir -c /tmp/constraints.txt "$(ls /tmp/dist/*.whl)${EXTRAS}" && dithead --version

# The last stage is the one that is built by default; torch comes from PyTorch's index of CPU wheels.
FROM base AS cpu
ARG EXTRAS=""
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
COPY constraints.txt /tmp/constraints.txt
RUN pip install --no-cache-dir --no-deps --index-url "${TORCH_INDEX}" "$(grep '^torch==' /tmp/constraints.txt)"
COPY --from=wheel /dist /tmp/dist
RUN pip install --no-cache-dir -c /tmp/constraints.txt "$(ls /tmp/dist/*.whl)${EXTRAS}" && dithead doctor
