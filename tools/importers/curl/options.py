"""The options of curl: their short names, which of them take a word, which are of no concern."""

__all__ = ["QUIET", "SHORT", "WITH_VALUE"]

_SHORT_NAMES = """
X=request H=header d=data G=get F=form u=user b=cookie A=user-agent e=referer I=head L=location
k=insecure x=proxy m=max-time o=output O=remote-name s=silent S=show-error v=verbose i=include
f=fail T=upload-file E=cert U=proxy-user c=cookie-jar w=write-out r=range K=config D=dump-header
z=time-cond y=speed-time Y=speed-limit C=continue-at t=telnet-option Q=quote P=ftp-port h=help
:=next g=globoff J=remote-header-name j=junk-session-cookies n=netrc N=no-buffer p=proxytunnel
q=disable R=remote-time #=progress-bar 0=http1.0 1=tlsv1 4=ipv4 6=ipv6 a=append l=list-only
M=manual V=version Z=parallel
"""
#: The long name of each short option.
SHORT = {name[0]: name[2:] for name in _SHORT_NAMES.split()}
_QUIET_NAMES = """
silent show-error verbose include fail output remote-name write-out compressed location
no-buffer progress-bar fail-with-body no-progress-meter create-dirs output-dir
dump-header trace trace-ascii trace-time stderr http1.1 http2 http2-prior-knowledge http3
tcp-nodelay no-keepalive disable styled-output parallel remote-header-name remote-time
junk-session-cookies ipv4 ipv6 no-alpn http1.0 remote-name-all remove-on-error
"""
#: What only says how curl shows or stores the answer, or what every request does here anyway.
QUIET = frozenset(_QUIET_NAMES.split())
_WITH_VALUE_NAMES = """
request header data data-raw data-binary data-ascii data-urlencode json form form-string user
cookie user-agent referer url url-query oauth2-bearer aws-sigv4 max-time connect-timeout retry
retry-delay retry-max-time proxy proxy-user output write-out cert key cacert capath pass
cert-type key-type upload-file cookie-jar config dump-header range time-cond speed-time
speed-limit continue-at telnet-option quote ftp-port resolve connect-to interface dns-servers
doh-url ciphers tls13-ciphers curves tls-max limit-rate max-filesize max-redirs noproxy preproxy
proto proto-default proto-redir proxy-header proxy-cacert proxy-cert proxy-key proxy-pass
request-target rate sasl-authzid service-name socks4 socks4a socks5 socks5-hostname stderr trace
trace-ascii trace-config unix-socket abstract-unix-socket variable expand-data expand-header
expand-url netrc-file output-dir pinnedpubkey keepalive-time happy-eyeballs-timeout-ms
delegation egd-file engine etag-compare etag-save expect100-timeout haproxy-clientip hsts
alt-svc local-port login-options mail-auth mail-from mail-rcpt parallel-max postquote prequote
pubkey hostpubmd5 hostpubsha256 random-file tlsuser tlspassword tlsauthtype proxy-tlsuser
proxy-tlspassword krb libcurl crlfile ip-tos vlan-priority ipfs-gateway
"""
#: Options that take the next word.
WITH_VALUE = frozenset(_WITH_VALUE_NAMES.split())
