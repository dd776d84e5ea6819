FROM oven/bun:1.4.5-alpine AS build
WORKDIR /build
COPY package.json bun.lock bunfig.toml ./
COPY src/client/package.json src/client/
RUN bun install --frozen-lockfile --production
COPY src src
# In chunks, so that main.js listens for signals before the rest is read.
RUN bun build src/main.ts --target=bun --production --splitting --outdir=dist/server

# Everything is in the bundle: the image holds Bun, the server and the page, and nothing else.
FROM oven/bun:1.4.5-alpine
WORKDIR /app
COPY --from=build /build/dist/server ./
ENV NODE_ENV=production
# As `bun run start`: memory goes back to the system after ten seconds, and not while the next signals need it.
ENV MIMALLOC_PURGE_DELAY=10000 MIMALLOC_PURGE_HOLES_MIN_INTERVAL=10000
EXPOSE 3000
# The user `bun`, by number: Kubernetes can't tell of a name that it is not root's.
USER 1000:1000
# A node that drains still lives, so it is not asked whether it is ready.
HEALTHCHECK --interval=30s --timeout=3s --start-period=5s \
  CMD ["bun", "-e", "const { status } = await fetch(`http://127.0.0.1:${process.env.PORT ?? 3000}/livez`); process.exit(status === 200 ? 0 : 1)"]
CMD ["bun", "main.js"]
