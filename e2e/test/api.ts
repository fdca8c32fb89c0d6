/** An error answer: a problem document (RFC 9457). */
export interface Problem {
  readonly status: number;
  readonly code: string;
  readonly detail: string;
  readonly at?: string;
  readonly errors?: readonly { readonly field: string; readonly message: string }[];
}

export class ApiError extends Error {
  readonly problem: Problem;

  constructor(what: string, problem: Problem) {
    super(`${what}: ${problem.status} ${problem.code} ${problem.detail}`);
    this.problem = problem;
  }
}

export interface Identified {
  readonly id: string;
}

export type RunState = 'queued' | 'running' | 'succeeded' | 'failed' | 'cancelled';

export interface GoalView {
  readonly goalId: string;
  readonly kind: 'import-groups' | 'import-profiles' | 'export-profiles';
  readonly state: string;
  readonly counts: Readonly<Record<string, unknown>>;
  readonly progress: { readonly phase: string; readonly done: number; readonly total?: number } | null;
  readonly notes: readonly { readonly level: string; readonly message: string; readonly at?: string }[];
  readonly error: { readonly code: string; readonly message: string; readonly at?: string } | null;
}

export interface RunView {
  readonly id: string;
  readonly state: RunState;
  readonly goals: readonly GoalView[];
}

/** Calls config-api as any client would, and keeps the text of every error answer. */
export class Api {
  readonly url: string;
  readonly key: string;
  readonly problems: string[] = [];

  constructor(url: string, key: string) {
    this.url = url;
    this.key = key;
  }

  /** The same API with another key; error answers are kept in one place. */
  as(key: string): Api {
    const other = new Api(this.url, key);
    (other as { problems: string[] }).problems = this.problems;
    return other;
  }

  async get<T>(path: string): Promise<T> {
    return await this.call<T>('GET', path);
  }

  async post<T>(path: string, body: unknown = {}): Promise<T> {
    return await this.call<T>('POST', path, body);
  }

  async patch<T>(path: string, body: unknown): Promise<T> {
    return await this.call<T>('PATCH', path, body);
  }

  /** `path` below /api/v1; a text as body is sent as it is. @throws ApiError */
  async call<T>(method: string, path: string, body?: unknown): Promise<T> {
    const response = await fetch(`${this.url}/api/v1${path}`, {
      method,
      headers: {
        authorization: `Bearer ${this.key}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      signal: AbortSignal.timeout(60_000),
    });
    const text = await response.text();
    if (response.ok) return (text === '' ? undefined : JSON.parse(text)) as T;
    this.problems.push(text);
    throw new ApiError(`${method} ${path}`, JSON.parse(text) as Problem);
  }

  /** The problem a call is refused with. */
  async refusal(call: Promise<unknown>): Promise<Problem> {
    try {
      await call;
    } catch (error) {
      if (error instanceof ApiError) return error.problem;
      throw error;
    }
    throw new Error('the call was not refused');
  }
}

export function isOver({ state }: RunView): boolean {
  return state === 'succeeded' || state === 'failed' || state === 'cancelled';
}
