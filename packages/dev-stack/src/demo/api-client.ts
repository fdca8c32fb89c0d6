/** A refused or failed call of the API, in the words of its problem document. */
export class ApiError extends Error {
  readonly status: number;

  constructor(message: string, status: number) {
    super(message);
    this.name = 'ApiError';
    this.status = status;
  }
}

interface Problem {
  readonly title?: string;
  readonly detail?: string;
  readonly errors?: readonly { readonly field: string; readonly message: string }[];
}

/** Calls config-api as any client would: JSON over HTTP with a bearer key. */
export class ApiClient {
  readonly #base: string;
  readonly #key: string;

  constructor(apiUrl: string, key: string) {
    this.#base = `${apiUrl}/api/v1`;
    this.#key = key;
  }

  async get<T>(path: string): Promise<T> {
    return await this.#call<T>('GET', path);
  }

  async post<T>(path: string, body: unknown = {}): Promise<T> {
    return await this.#call<T>('POST', path, body);
  }

  async patch<T>(path: string, body: unknown): Promise<T> {
    return await this.#call<T>('PATCH', path, body);
  }

  /** Like `post`, but what exists already (409) is fine. */
  async ensure(path: string, body: unknown): Promise<void> {
    try {
      await this.post(path, body);
    } catch (error) {
      if (!(error instanceof ApiError && error.status === 409)) throw error;
    }
  }

  async #call<T>(method: string, path: string, body?: unknown): Promise<T> {
    const response = await fetch(this.#base + path, {
      method,
      headers: {
        authorization: `Bearer ${this.#key}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(60_000),
    });
    const text = await response.text();
    if (response.ok) return (text === '' ? undefined : JSON.parse(text)) as T;
    throw new ApiError(`${method} ${path} answered ${response.status}: ${describe(text)}`, response.status);
  }
}

function describe(text: string): string {
  try {
    const { title, detail, errors = [] } = JSON.parse(text) as Problem;
    const fields = errors.map(({ field, message }) => `${field}: ${message}`).join('; ');
    return [title, detail, fields].filter(Boolean).join(' · ');
  } catch {
    return text.slice(0, 300);
  }
}
