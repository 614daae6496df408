# The image of api, worker, scheduler and migrate: the argument of the container says which of them it is.
#
#   docker buildx build --platform linux/arm64 \
#     --secret id=thegraph_balancer,env=THEGRAPH_BALANCER_KEY --secret id=thegraph_fantom,env=THEGRAPH_FANTOM_KEY \
#     --build-arg GIT_SHA="$(git rev-parse HEAD)" --build-arg BUILT_AT="$(date -u +%FT%TZ)" .
#
# `make image-check` builds it without docker and proves that no layer holds a key. buildah has to read this file
# too, so it has no here-documents, no `COPY --link` and no `# syntax` line, which would download a front end.

# The tag is the whole version of Python and of Debian. Whoever has a network can pin the digest behind it:
# docker buildx imagetools inspect public.ecr.aws/docker/library/python:3.13.14-slim-trixie
FROM public.ecr.aws/docker/library/python:3.13.14-slim-trixie AS base
ENV PYTHONUNBUFFERED=1


# What runs: a virtual environment without pip.
FROM base AS dependencies
COPY workload/app/requirements.lock /build/
RUN python -m venv --without-pip /opt/venv \
    && python -m pip --python /opt/venv/bin/python install --no-cache-dir --only-binary :all: \
        --require-hashes --requirement /build/requirements.lock \
    # botocore brings the models of 400 AWS services; two are called, and the credentials of a task need none.
    && find /opt/venv/lib -path '*/botocore/data/*' -prune -type d \
        ! -name dynamodb ! -name sqs -exec rm -rf {} +


# The typed clients of the subgraphs. This is the only step that sees the API keys, and this stage, with the generator
# and the schemas, is not in the image. `--build-arg SCHEMA=repository` builds without the network.
FROM base AS client
COPY workload/app/requirements-build.lock /build/
RUN python -m venv --without-pip /opt/generator \
    && python -m pip --python /opt/generator/bin/python install --no-cache-dir --only-binary :all: \
        --require-hashes --requirement /build/requirements-build.lock
WORKDIR /build
COPY workload/app/__init__.py workload/app/chains.py app/
COPY workload/app/subgraph app/subgraph/
ARG SCHEMA=network
RUN --mount=type=secret,id=thegraph_balancer,required=true \
    --mount=type=secret,id=thegraph_fantom,required=true \
    /opt/generator/bin/python -m app.subgraph.generate --schema "${SCHEMA}"


FROM base AS runtime
# ECS mounts the root file system read-only, with a volume on /tmp.
ENV PATH=/opt/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1
WORKDIR /srv
COPY --from=dependencies /opt/venv /opt/venv
COPY workload/app/*.py app/
COPY workload/app/migrations app/migrations/
COPY workload/database database/
COPY --from=client /build/app/generated app/generated/
ARG GIT_SHA=unknown
ARG BUILT_AT=unknown
ARG SOURCE=unknown
ENV GIT_SHA=${GIT_SHA} BUILT_AT=${BUILT_AT}
LABEL org.opencontainers.image.title="v3-backend" \
    org.opencontainers.image.description="Pools of decentralised exchanges: api, worker, scheduler, migrate" \
    org.opencontainers.image.source="${SOURCE}" \
    org.opencontainers.image.revision="${GIT_SHA}" \
    org.opencontainers.image.created="${BUILT_AT}"
# ECS gives a volume the owner and the rights of the path in the image, but of one that is declared here alone
# (ECS Developer Guide, "Use bind mounts"); without them only root could write to it.
VOLUME ["/tmp"]
# A number, so that it can be seen from outside not to be root.
USER 10001:10001
EXPOSE 8080
STOPSIGNAL SIGTERM
# No HEALTHCHECK: ECS has its own in the task definition, `python -m app health`, and ignores this one.
ENTRYPOINT ["python", "-m", "app"]
CMD ["api"]
