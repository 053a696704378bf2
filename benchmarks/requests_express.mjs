// The Express apps of requests.py: bare, or with connect-redis. Arguments: kind, port, Redis URL.
// The same questions and answers as in requests_asgi.py. requests.py copies this file beside the
// packages, which is where node looks for them.

import express from "express";

const [kind, port, url, user, secret] = process.argv.slice(2);
const app = express();

if (kind === "sessions") {
  const { default: session } = await import("express-session");
  const { RedisStore } = await import("connect-redis");
  const { createClient } = await import("redis");
  const client = createClient({ url });
  await client.connect();
  app.use(
    session({
      store: new RedisStore({ client }),
      secret,
      resave: false,
      saveUninitialized: false,
      rolling: true,
      cookie: { maxAge: 3600_000 },
    }),
  );
}

app.get("/", (request, response) => {
  const known = kind === "sessions" ? request.session.user : user;
  response
    .status(known ? 200 : 401)
    .type("text/plain")
    .send(known ?? "");
});

app.post("/sign-in", (request, response) => {
  request.session.user = user;
  response.type("text/plain").send(user);
});

app.listen(Number(port), "127.0.0.1");
