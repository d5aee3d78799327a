// A client of the generated types. It is compiled, not run: what it reads and
// sends must be what the description says.
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.d.ts";

const client = createClient<paths>({ baseUrl: "https://telemetry.example" });

export async function runNames(cursor?: string): Promise<string[]> {
  const { data, error } = await client.GET("/api/v1/sessions", { params: { query: { limit: 10, cursor } } });
  if (!data) throw new Error(error.detail);
  const names = data.sessions.map((run) => run.session_name ?? run.session_id);
  return data.next_cursor === null ? names : [...names, ...(await runNames(data.next_cursor))];
}

export async function speeds(id: string): Promise<(number | null)[]> {
  const { data } = await client.GET("/api/v1/sessions/{id}/series", {
    params: { path: { id }, query: { metrics: ["speed_ms"], points: 500, mode: "m4" } },
  });
  const column = data?.sessions[0]?.metrics.speed_ms;
  return column && "avg" in column ? column.avg : [];
}

export async function store(records: components["schemas"]["Record"][]): Promise<number> {
  const { data } = await client.POST("/api/v1/telemetry", { params: { header: { "Idempotency-Key": "lap 7" } }, body: records });
  return data?.inserted ?? 0;
}

export async function signIn(email: string, password: string): Promise<string | undefined> {
  const { data } = await client.POST("/api/v1/auth/signin", { body: { email, password, remember: true } });
  return data?.token;
}

export async function waiting(): Promise<string[]> {
  const { data } = await client.GET("/api/v1/users", { params: { query: { status: "pending" } } });
  return data?.users.map((user) => user.email) ?? [];
}

// @ts-expect-error the parameter is called status
void client.GET("/api/v1/users", { params: { query: { approval_status: "pending" } } });
// @ts-expect-error an address is needed
void client.POST("/api/v1/auth/signin", { body: { password: "x" } });
