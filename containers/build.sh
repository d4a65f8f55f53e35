#!/usr/bin/env bash
# Builds the images of the bed: arcbed/fakecloud:dev, arcbed/machine:dev, arcbed/agent:dev, arcbed/proxy:dev, and
# arcbed/azurite:dev where npm is.
#
#   BASE_IMAGE=debian:bookworm-slim containers/build.sh [fakecloud] [agent] [proxy] [azurite]
#
# BASE_IMAGE is any Debian 12 with apt; by default the one of `make base-image`. Programs and their pinned packages
# are put in place here, outside of any image, so a build needs no package index and leaves none of its settings
# in a layer.
set -euo pipefail
cd "$(dirname "$0")/.."

base=${BASE_IMAGE:-arcbed/base:debian12}
python=${BASE_PYTHON:-3.11}
stage=build/containers
interpreter=${PYTHON:-.venv/bin/python}
revision=$(git rev-parse --short HEAD 2>/dev/null || echo unknown)
wanted=("$@")
if [ $# = 0 ]; then
  wanted=(fakecloud agent proxy)
  if command -v npm >/dev/null; then wanted+=(azurite); fi
fi

install_into() {  # FOLDER ARGUMENTS...: packages for the image's Python, wheels only
  local folder=$1 machine
  shift
  machine=$(uname -m)
  if command -v uv >/dev/null; then
    uv pip install -q --target "$folder" --python-version "$python" \
      --python-platform "$machine-manylinux_2_34" --only-binary :all: "$@"
  else
    python3 -m pip install -q --target "$folder" --python-version "$python" --only-binary :all: \
      --platform "manylinux_2_34_$machine" --platform "manylinux_2_28_$machine" --platform "manylinux2014_$machine" "$@"
  fi
  rm -rf "$folder"/bin "$folder"/.lock
  find "$folder" \( -name __pycache__ -o -name tests \) -type d -prune -exec rm -rf {} +
}

build_image() {  # TAG DOCKERFILE ARGUMENTS...
  local tag=$1 file=$2
  shift 2
  DOCKER_BUILDKIT=${DOCKER_BUILDKIT:-0} docker build -q -t "$tag" -f "$file" --build-arg BASE_IMAGE="$base" \
    --label org.opencontainers.image.revision="$revision" "$@" . >/dev/null
  docker image inspect --format "$tag {{.Size}}" "$tag" | awk '{printf "%-28s %4.0f MB\n", $1, $2 / 1e6}'
}

fakecloud_image() {
  local pins=containers/fakecloud/requirements.txt
  if ! cmp -s "$pins" "$stage/fakecloud/pins.txt"; then
    rm -rf "$stage/fakecloud"
    install_into "$stage/fakecloud/packages" --no-deps -r "$pins"
    cp "$pins" "$stage/fakecloud/pins.txt"
  fi
  rm -rf "$stage/fakecloud/program" "$stage"/*.whl
  if command -v uv >/dev/null; then uv build -q --wheel -o "$stage" .; else python3 -m pip wheel -q --no-deps -w "$stage" .; fi
  install_into "$stage/fakecloud/program" --no-deps "$stage"/arcbed-*.whl
  rm -rf "$stage"/*.whl "$stage/fakecloud/program/arcbed_agent"
  build_image arcbed/fakecloud:dev containers/fakecloud/Dockerfile
}

agent_image() {
  mkdir -p "$stage/package"
  rm -f "$stage"/package/*
  "$interpreter" agent/packaging/build.py --output "$stage/package" --kind deb --python "$python" >/dev/null
  mv "$stage"/package/azcmagent_*.deb "$stage/package/azcmagent.deb"
  build_image arcbed/machine:dev containers/agent/Dockerfile --target machine
  build_image arcbed/agent:dev containers/agent/Dockerfile
}

proxy_image() {
  build_image arcbed/proxy:dev containers/proxy/Dockerfile
}

azurite_image() {
  local pins=containers/azurite/package-lock.json
  if ! cmp -s "$pins" "$stage/azurite/pins.json"; then
    rm -rf "$stage/azurite"
    mkdir -p "$stage/azurite/packages"
    cp containers/azurite/package*.json "$stage/azurite/packages/"
    npm ci --prefix "$stage/azurite/packages" --omit=dev --no-audit --no-fund --silent
    find "$stage/azurite/packages/node_modules" \( -name '*.map' -o -name '*.d.ts' \) -type f -delete
    cp "$pins" "$stage/azurite/pins.json"
  fi
  build_image arcbed/azurite:dev containers/azurite/Dockerfile
}

mkdir -p "$stage"
for image in "${wanted[@]}"; do "${image}_image"; done
