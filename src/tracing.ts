/** OpenTelemetry's settings that turn tracing on. The exporter reads them, and its other settings, itself. */
const ENDPOINTS = ['OTEL_EXPORTER_OTLP_ENDPOINT', 'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT'];

/**
 * Sends traces to the endpoint in OpenTelemetry's settings.
 * @returns a function that sends the last traces and stops; null if no endpoint is set
 */
export async function startTracing(
  env: Readonly<Record<string, string | undefined>>,
): Promise<(() => Promise<void>) | null> {
  const isEnabled = ENDPOINTS.some((name) => env[name]) && env['OTEL_SDK_DISABLED'] !== 'true';
  if (!isEnabled) return null;
  // Loaded here, because it takes a tenth of a second and 20 MB.
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
