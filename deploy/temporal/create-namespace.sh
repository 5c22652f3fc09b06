#!/bin/sh
# Creates the namespace where it is missing, and waits until the server serves it.
set -eu

attempts=60
until temporal operator namespace describe --namespace "$TEMPORAL_NAMESPACE" >/dev/null 2>&1; do
    attempts=$((attempts - 1))
    # Shows why in the last attempt. In the others the server may be starting, or it may not have
    # noticed yet that the namespace is there.
    if [ "$attempts" -eq 0 ]; then
        temporal operator namespace describe --namespace "$TEMPORAL_NAMESPACE"
        exit 1
    fi
    temporal operator namespace create --namespace "$TEMPORAL_NAMESPACE" \
        --retention "$RETENTION" >/dev/null 2>&1 || true
    sleep 1
done
echo "The namespace $TEMPORAL_NAMESPACE is there."
