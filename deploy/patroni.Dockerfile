# PostgreSQL with Patroni, for compose.ha.yml. The postgres image has PostgreSQL's own package archive, which has Patroni.
FROM postgres:18-bookworm
RUN apt-get update \
  && apt-get install --yes --no-install-recommends patroni python3-etcd curl \
  && rm -rf /var/lib/apt/lists/* \
  && install --directory --owner=postgres --group=postgres --mode=0700 /var/lib/postgresql/ledger
COPY patroni.yml create-ledger.sh /etc/patroni/
WORKDIR /etc/patroni
USER postgres
ENTRYPOINT []
CMD ["patroni", "/etc/patroni/patroni.yml"]
