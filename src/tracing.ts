/** The settings of OpenTelemetry that say where traces go; the exporter reads them, and its other ones, itself. */
const ENDPOINTS = ['OTEL_EXPORTER_OTLP_ENDPOINT', 'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT'];

/**
 * Sends traces to where OpenTelemetry's own settings say, if they do.
 * @returns what sends the last of them, at the end; null where no traces are wanted
 */
export async function startTracing(
  env: Readonly<Record<string, string | undefined>>,
): Promise<(() => Promise<void>) | null> {
  const isWanted = ENDPOINTS.some((name) => env[name]) && env['OTEL_SDK_DISABLED'] !== 'true';
  if (!isWanted) return null;
  // Loaded only here: it takes a tenth of a second and 20 MB, which nobody else should pay.
  const { BatchSpanProcessor, NodeTracerProvider } = await import('@opentelemetry/sdk-trace-node');
  const { OTLPTraceExporter } = await import('@opentelemetry/exporter-trace-otlp-proto');
  const { defaultResource, detectResources, envDetector, resourceFromAttributes } =
    await import('@opentelemetry/resources');
  const name = env['OTEL_SERVICE_NAME'] || 'outlook-ledger';
  const provider = new NodeTracerProvider({
    resource: defaultResource()
      .merge(detectResources({ detectors: [envDetector] }))
      .merge(resourceFromAttributes({ 'service.name': name })),
    spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter())],
  });
  provider.register();
  return () => provider.shutdown();
}
