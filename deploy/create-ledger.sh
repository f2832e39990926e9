#!/bin/sh
# Patroni runs this once, after initdb: `create-ledger.sh URL`. LEDGER_PASSWORD is that of the tables' owner, who may create
# the service's role.
set -eu
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --dbname "$1" <<'SQL'
\getenv password LEDGER_PASSWORD
create role ledger login createrole password :'password';
create database ledger owner ledger;
SQL
