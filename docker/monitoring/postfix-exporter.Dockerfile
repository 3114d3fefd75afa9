# The stock Postfix exporter, as Debian packages it. It reads the queue by Postfix's showq socket; the log it does not
# get, since that would take the right to read every container's log: mailhooks counts the lines that matter itself.
FROM debian:trixie-slim
# hadolint ignore=DL3008 # Debian's stable release is the pin: it brings security fixes and nothing else
RUN apt-get update \
    && apt-get install --yes --no-install-recommends prometheus-postfix-exporter \
    && apt-get clean \
    && rm -rf /var/lib/apt/lists/*
USER nobody
EXPOSE 9154
ENTRYPOINT ["prometheus-postfix-exporter"]
CMD ["--postfix.logfile_path=/dev/null"]
