import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';

export interface MetricOptions<Label extends string> {
  /** `millrace_` and a unit: `millrace_import_rows_total`. */
  readonly name: string;
  readonly help: string;
  readonly labels?: readonly Label[];
}

/** One registry per process, for Prometheus. */
export class Metrics {
  readonly registry = new Registry();

  constructor(service: string) {
    this.registry.setDefaultLabels({ service });
    collectDefaultMetrics({ register: this.registry });
  }

  counter<Label extends string = never>(options: MetricOptions<Label>): Counter<Label> {
    return new Counter({
      name: options.name,
      help: options.help,
      labelNames: [...(options.labels ?? [])],
      registers: [this.registry],
    });
  }

  /** `collect` is asked at each scrape. */
  gauge<Label extends string = never>(
    options: MetricOptions<Label> & { readonly collect?: (gauge: Gauge<Label>) => void | Promise<void> },
  ): Gauge<Label> {
    const { collect } = options;
    return new Gauge({
      name: options.name,
      help: options.help,
      labelNames: [...(options.labels ?? [])],
      registers: [this.registry],
      ...(collect === undefined
        ? {}
        : {
            collect: function (this: Gauge<Label>) {
              return collect(this);
            },
          }),
    });
  }

  histogram<Label extends string = never>(
    options: MetricOptions<Label> & { readonly buckets?: readonly number[] },
  ): Histogram<Label> {
    return new Histogram({
      name: options.name,
      help: options.help,
      labelNames: [...(options.labels ?? [])],
      registers: [this.registry],
      ...(options.buckets === undefined ? {} : { buckets: [...options.buckets] }),
    });
  }
}

export function createMetrics(options: { readonly service: string }): Metrics {
  return new Metrics(options.service);
}
