# syntax=docker/dockerfile:1
# One image for the API, the workers and the payment sandbox; the command says which. There is no build step: Node runs
# the TypeScript as it is.

FROM node:22-bookworm-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev && npm cache clean --force

FROM node:22-bookworm-slim
ENV NODE_ENV=production \
    DATA_DIR=/data \
    SANDBOX_HOST=0.0.0.0 \
    PATH=/app/node_modules/.bin:$PATH
WORKDIR /app
# The sandbox keeps its journal here; the API and the workers keep nothing outside Postgres and Redis.
RUN install -d -o node -g node /data
VOLUME /data
COPY --from=dependencies /app/node_modules node_modules
COPY package.json LICENSE ./
COPY core core
COPY actors actors
COPY scripts scripts
COPY db db
COPY shop shop
COPY api api
COPY workers workers
COPY sandbox sandbox
COPY web web
USER node
EXPOSE 8080
STOPSIGNAL SIGTERM
CMD ["node", "--min-semi-space-size=64", "--max-semi-space-size=64", "api/main.ts"]
