#!/bin/sh
# Creates Temporal's two databases and brings their schemas up to the version of this image. Where
# they exist already, each step leaves alone what is there. SQL_* says where the server is.
set -eu

schemas=/etc/temporal/schema/postgresql/v12

set_up() {
    temporal-sql-tool --db "$1" create
    temporal-sql-tool --db "$1" setup-schema --version 0.0
    temporal-sql-tool --db "$1" update-schema --schema-dir "$schemas/$2/versioned"
}

set_up temporal temporal
set_up temporal_visibility visibility
