/**
 * What browsers make: candidates and descriptions as they leave `onicecandidate` and `localDescription`.
 * Chromium's are recorded (version 156, with a TURN server on the loopback; the repeated video codecs are
 * left out); Firefox's and Safari's are written after the forms that they are known for.
 */

/** Candidates that say where their peer is. */
export const directCandidates: readonly string[] = [
  // Chromium, with a camera allowed
  "candidate:1623704919 1 udp 2122194687 192.0.2.2 49092 typ host generation 0 ufrag 6oMq network-id 1",
  "candidate:2879456439 1 udp 2122265343 fd00::2 55330 typ host generation 0 ufrag 6oMq network-id 2",
  "candidate:2657948099 1 tcp 1518214911 192.0.2.2 9 typ host tcptype active generation 0 ufrag 6oMq network-id 1",
  "candidate:1426837539 1 tcp 1518285567 fd00::2 9 typ host tcptype active generation 0 ufrag 6oMq network-id 2",
  "candidate:200484605 1 udp 2122194687 192.0.2.2 35596 typ host generation 0 ufrag fKDF network-id 1",
  "candidate:3231049501 1 udp 2122265343 fd00::2 47629 typ host generation 0 ufrag fKDF network-id 2",
  "candidate:4116312681 1 tcp 1518214911 192.0.2.2 9 typ host tcptype active generation 0 ufrag fKDF network-id 1",
  // Chromium: hidden behind mDNS; learned by STUN, over IPv4 and IPv6
  "candidate:3359839346 1 udp 2113937151 4c1b3f2e-6a0d-4c7b-9a86-0a9d1c2f4e55.local 53611 typ host generation 0 ufrag 6oMq network-cost 999",
  "candidate:842163049 1 udp 1677729535 198.51.100.77 46154 typ srflx raddr 192.168.1.23 rport 46154 generation 0 ufrag 6oMq network-id 1 network-cost 10",
  "candidate:842163049 1 udp 1677729535 198.51.100.77 46154 typ srflx raddr 0.0.0.0 rport 0 generation 0 ufrag 6oMq network-cost 999",
  "candidate:2551414431 1 udp 1677732095 2001:db8:85a3::8a2e:370:7334 51234 typ srflx raddr fd12:3456:789a::10 rport 51234 generation 0 ufrag 6oMq network-id 2 network-cost 50",
  "candidate:842163049 1 udp 1853824767 198.51.100.78 61001 typ prflx raddr 10.0.0.7 rport 61001 generation 0 ufrag 6oMq network-id 1",
  // Firefox
  "candidate:0 1 UDP 2122252543 8b1c6a53-3c7d-4a3f-8f0e-2f1b6d9e7a10.local 58212 typ host",
  "candidate:0 1 UDP 2122252543 192.168.178.59 58212 typ host",
  "candidate:2 1 TCP 2105524479 192.168.178.59 9 typ host tcptype active",
  "candidate:1 1 UDP 1686052863 203.0.113.9 58212 typ srflx raddr 192.168.178.59 rport 58212",
  "candidate:1 2 UDP 1686052862 203.0.113.9 58213 typ srflx raddr 0.0.0.0 rport 0",
  // Safari
  "candidate:2747735740 1 udp 2113937151 ae51ac4f-53ed-4c43-9e7e-5d3f5e25b2ab.local 60207 typ host generation 0 ufrag Ra2b network-cost 999",
  "candidate:3617484397 1 udp 1677729535 203.0.113.200 60207 typ srflx raddr 0.0.0.0 rport 0 generation 0 ufrag Ra2b network-cost 999",
];

/** Relayed candidates, and what is left of each. */
export const relayedCandidates: readonly (readonly [made: string, kept: string])[] = [
  [
    "candidate:1413623951 1 udp 58597375 127.0.0.1 56157 typ relay raddr 192.0.2.2 rport 49092 generation 0 ufrag 6oMq network-id 1",
    "candidate:1413623951 1 udp 58597375 127.0.0.1 56157 typ relay raddr 0.0.0.0 rport 9 generation 0 ufrag 6oMq network-id 1",
  ],
  [
    "candidate:1064751909 1 udp 58597375 127.0.0.1 59502 typ relay raddr 192.0.2.2 rport 35596 generation 0 ufrag fKDF network-id 1",
    "candidate:1064751909 1 udp 58597375 127.0.0.1 59502 typ relay raddr 0.0.0.0 rport 9 generation 0 ufrag fKDF network-id 1",
  ],
  // Chromium, with addresses hidden; and over IPv6, from a phone
  [
    "candidate:3041150069 1 udp 41885439 203.0.113.5 50311 typ relay raddr 0.0.0.0 rport 0 generation 0 ufrag XNh+ network-id 1 network-cost 10",
    "candidate:3041150069 1 udp 41885439 203.0.113.5 50311 typ relay raddr 0.0.0.0 rport 9 generation 0 ufrag XNh+ network-id 1 network-cost 10",
  ],
  [
    "candidate:1183023381 1 udp 25108223 2001:db8:cafe::5 50312 typ relay raddr 2001:db8:85a3::8a2e:370:7334 rport 51234 generation 0 ufrag 9a/Z network-id 3 network-cost 900",
    "candidate:1183023381 1 udp 25108223 2001:db8:cafe::5 50312 typ relay raddr :: rport 9 generation 0 ufrag 9a/Z network-id 3 network-cost 900",
  ],
  // Firefox
  [
    "candidate:3 1 UDP 92217343 203.0.113.5 54474 typ relay raddr 203.0.113.5 rport 54474",
    "candidate:3 1 udp 92217343 203.0.113.5 54474 typ relay raddr 0.0.0.0 rport 9",
  ],
  [
    "candidate:6 2 UDP 8331262 203.0.113.5 54475 typ relay raddr 198.51.100.77 rport 40000",
    "candidate:6 2 udp 8331262 203.0.113.5 54475 typ relay raddr 0.0.0.0 rport 9",
  ],
  // Safari
  [
    "candidate:2157334355 1 udp 33562623 203.0.113.5 60963 typ relay raddr 203.0.113.200 rport 60207 generation 0 ufrag Ra2b network-cost 999",
    "candidate:2157334355 1 udp 33562623 203.0.113.5 60963 typ relay raddr 0.0.0.0 rport 9 generation 0 ufrag Ra2b network-cost 999",
  ],
  // Other clients: without related address, and with the attribute's own prefix
  [
    "a=candidate:1 1 UDP 16777215 203.0.113.5 3478 typ relay",
    "candidate:1 1 udp 16777215 203.0.113.5 3478 typ relay raddr 0.0.0.0 rport 9",
  ],
];

const lines = (text: string) => `${text.trim().split("\n").join("\r\n")}\r\n`;

/** Chromium's offer with camera, simulcast and data channel, after gathering. */
const chromiumOffer = lines(`
v=0
o=- 2387438511675538203 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1 2
a=extmap-allow-mixed
a=msid-semantic: WMS
m=audio 61814 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126
c=IN IP4 127.0.0.1
a=rtcp:9 IN IP4 0.0.0.0
a=candidate:1658382487 1 udp 2122194687 192.0.2.2 36481 typ host generation 0 network-id 1
a=candidate:1705673767 1 udp 2122265343 fd00::2 42697 typ host generation 0 network-id 2
a=candidate:2314521854 1 udp 58597375 127.0.0.1 61814 typ relay raddr 192.0.2.2 rport 36481 generation 0 network-id 1
a=candidate:471271951 1 tcp 1518214911 192.0.2.2 9 typ host tcptype active generation 0 network-id 1
a=candidate:459630271 1 tcp 1518285567 fd00::2 9 typ host tcptype active generation 0 network-id 2
a=ice-ufrag:ooyU
a=ice-pwd:cGIUOuNJ2bzsgXZYmrAwBSqh
a=ice-options:trickle
a=fingerprint:sha-256 61:9A:A8:13:57:97:A7:48:73:54:7E:84:40:D6:8C:C0:22:34:D3:4D:88:2D:84:13:76:8B:13:EB:D6:BE:D5:D6
a=setup:actpass
a=mid:0
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
a=sendrecv
a=msid:- 9af72d17-8dba-4502-83f0-1ee1ea2d91f3
a=rtcp-mux
a=rtcp-rsize
a=rtcp-xr:rcvr-rtt=all
a=rtpmap:111 opus/48000/2
a=rtcp-fb:111 transport-cc
a=fmtp:111 minptime=10;useinbandfec=1
a=rtpmap:63 red/48000/2
a=fmtp:63 111/111
a=rtpmap:9 G722/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:13 CN/8000
a=rtpmap:110 telephone-event/48000
a=rtpmap:126 telephone-event/8000
a=ssrc:3432183811 cname:ObfMkLP/euk4lhrb
a=ssrc:3432183811 msid:- 9af72d17-8dba-4502-83f0-1ee1ea2d91f3
m=video 56510 UDP/TLS/RTP/SAVPF 96 97 45 46
c=IN IP4 192.0.2.2
a=rtcp:9 IN IP4 0.0.0.0
a=candidate:1658382487 1 udp 2122194687 192.0.2.2 56510 typ host generation 0 network-id 1
a=candidate:1705673767 1 udp 2122265343 fd00::2 44458 typ host generation 0 network-id 2
a=ice-ufrag:ooyU
a=ice-pwd:cGIUOuNJ2bzsgXZYmrAwBSqh
a=ice-options:trickle
a=fingerprint:sha-256 61:9A:A8:13:57:97:A7:48:73:54:7E:84:40:D6:8C:C0:22:34:D3:4D:88:2D:84:13:76:8B:13:EB:D6:BE:D5:D6
a=setup:actpass
a=mid:1
a=extmap:14 urn:ietf:params:rtp-hdrext:toffset
a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
a=extmap:13 urn:3gpp:video-orientation
a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
a=extmap:5 http://www.webrtc.org/experiments/rtp-hdrext/playout-delay
a=extmap:6 http://www.webrtc.org/experiments/rtp-hdrext/video-content-type
a=extmap:7 http://www.webrtc.org/experiments/rtp-hdrext/video-timing
a=extmap:8 http://www.webrtc.org/experiments/rtp-hdrext/color-space
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
a=extmap:10 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id
a=extmap:11 urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id
a=extmap:12 https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension
a=extmap:9 http://www.webrtc.org/experiments/rtp-hdrext/video-layers-allocation00
a=sendrecv
a=msid:- 5e4ff4d0-e0be-452b-a269-b0d21b7c0f3a
a=rtcp-mux
a=rtcp-rsize
a=rtcp-xr:rcvr-rtt=all
a=rtpmap:96 VP8/90000
a=rtcp-fb:96 goog-remb
a=rtcp-fb:96 transport-cc
a=rtcp-fb:96 ccm fir
a=rtcp-fb:96 nack
a=rtcp-fb:96 nack pli
a=rtpmap:97 rtx/90000
a=fmtp:97 apt=96
a=rtpmap:45 AV1/90000
a=rtcp-fb:45 goog-remb
a=rtcp-fb:45 transport-cc
a=rtcp-fb:45 ccm fir
a=rtcp-fb:45 nack
a=rtcp-fb:45 nack pli
a=fmtp:45 level-idx=5;profile=0;tier=0
a=rtpmap:46 rtx/90000
a=fmtp:46 apt=45
a=rid:h send
a=rid:l send
a=simulcast:send h;l
m=application 55847 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 192.0.2.2
a=candidate:1658382487 1 udp 2122194687 192.0.2.2 55847 typ host generation 0 network-id 1
a=candidate:1705673767 1 udp 2122265343 fd00::2 53011 typ host generation 0 network-id 2
a=ice-ufrag:ooyU
a=ice-pwd:cGIUOuNJ2bzsgXZYmrAwBSqh
a=ice-options:trickle
a=fingerprint:sha-256 61:9A:A8:13:57:97:A7:48:73:54:7E:84:40:D6:8C:C0:22:34:D3:4D:88:2D:84:13:76:8B:13:EB:D6:BE:D5:D6
a=setup:actpass
a=mid:2
a=sctp-port:5000
a=max-message-size:262144
`);

/** Chromium's answer, after gathering. */
const chromiumAnswer = lines(`
v=0
o=- 6229406854155490256 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1 2
a=extmap-allow-mixed
a=msid-semantic: WMS 5a17c88d-5573-4072-b467-d233fd659e69
m=audio 59502 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126
c=IN IP4 127.0.0.1
a=rtcp:9 IN IP4 0.0.0.0
a=candidate:200484605 1 udp 2122194687 192.0.2.2 35596 typ host generation 0 network-id 1
a=candidate:3231049501 1 udp 2122265343 fd00::2 47629 typ host generation 0 network-id 2
a=candidate:1064751909 1 udp 58597375 127.0.0.1 59502 typ relay raddr 192.0.2.2 rport 35596 generation 0 network-id 1
a=candidate:4116312681 1 tcp 1518214911 192.0.2.2 9 typ host tcptype active generation 0 network-id 1
a=candidate:1044329353 1 tcp 1518285567 fd00::2 9 typ host tcptype active generation 0 network-id 2
a=ice-ufrag:fKDF
a=ice-pwd:KPqhJfSq5XcWKH18pM6AqYKr
a=ice-options:trickle
a=fingerprint:sha-256 04:00:CE:BB:D0:A3:5F:AD:43:40:3B:A0:6F:0E:D9:29:1E:79:FB:3F:F9:8E:32:80:FF:A8:87:5E:30:AE:C9:EC
a=setup:active
a=mid:0
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
a=sendrecv
a=msid:5a17c88d-5573-4072-b467-d233fd659e69 5c6e4a2b-c72d-4e4e-8413-11ec323b1e44
a=rtcp-mux
a=rtcp-rsize
a=rtcp-xr:rcvr-rtt=all
a=rtpmap:111 opus/48000/2
a=rtcp-fb:111 transport-cc
a=fmtp:111 minptime=10;useinbandfec=1
a=rtpmap:63 red/48000/2
a=fmtp:63 111/111
a=rtpmap:9 G722/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:13 CN/8000
a=rtpmap:110 telephone-event/48000
a=rtpmap:126 telephone-event/8000
a=ssrc:449771873 cname:ePfMp3YOTliPPjYT
m=video 9 UDP/TLS/RTP/SAVPF 96 97 45 46
c=IN IP4 0.0.0.0
a=rtcp:9 IN IP4 0.0.0.0
a=ice-ufrag:fKDF
a=ice-pwd:KPqhJfSq5XcWKH18pM6AqYKr
a=ice-options:trickle
a=fingerprint:sha-256 04:00:CE:BB:D0:A3:5F:AD:43:40:3B:A0:6F:0E:D9:29:1E:79:FB:3F:F9:8E:32:80:FF:A8:87:5E:30:AE:C9:EC
a=setup:active
a=mid:1
a=extmap:14 urn:ietf:params:rtp-hdrext:toffset
a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
a=extmap:13 urn:3gpp:video-orientation
a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
a=extmap:5 http://www.webrtc.org/experiments/rtp-hdrext/playout-delay
a=extmap:6 http://www.webrtc.org/experiments/rtp-hdrext/video-content-type
a=extmap:7 http://www.webrtc.org/experiments/rtp-hdrext/video-timing
a=extmap:8 http://www.webrtc.org/experiments/rtp-hdrext/color-space
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
a=extmap:10 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id
a=extmap:11 urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id
a=sendrecv
a=msid:5a17c88d-5573-4072-b467-d233fd659e69 70e5ecb6-9b7b-4dfa-bead-b35dbd49a39a
a=rtcp-mux
a=rtcp-rsize
a=rtcp-xr:rcvr-rtt=all
a=rtpmap:96 VP8/90000
a=rtcp-fb:96 goog-remb
a=rtcp-fb:96 transport-cc
a=rtcp-fb:96 ccm fir
a=rtcp-fb:96 nack
a=rtcp-fb:96 nack pli
a=rtpmap:97 rtx/90000
a=fmtp:97 apt=96
a=rtpmap:45 AV1/90000
a=rtcp-fb:45 goog-remb
a=rtcp-fb:45 transport-cc
a=rtcp-fb:45 ccm fir
a=rtcp-fb:45 nack
a=rtcp-fb:45 nack pli
a=fmtp:45 level-idx=5;profile=0;tier=0
a=rtpmap:46 rtx/90000
a=fmtp:46 apt=45
a=ssrc-group:FID 910610580 3090300366
a=ssrc:910610580 cname:ePfMp3YOTliPPjYT
a=ssrc:3090300366 cname:ePfMp3YOTliPPjYT
m=application 9 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 0.0.0.0
a=ice-ufrag:fKDF
a=ice-pwd:KPqhJfSq5XcWKH18pM6AqYKr
a=ice-options:trickle
a=fingerprint:sha-256 04:00:CE:BB:D0:A3:5F:AD:43:40:3B:A0:6F:0E:D9:29:1E:79:FB:3F:F9:8E:32:80:FF:A8:87:5E:30:AE:C9:EC
a=setup:active
a=mid:2
a=sctp-port:5000
a=max-message-size:262144
`);

/** Firefox's offer, after gathering; its sections after the first are bundled. */
const firefoxOffer = lines(`
v=0
o=mozilla...THIS_IS_SDPARTA-128.0 4962303333179871722 0 IN IP4 0.0.0.0
s=-
t=0 0
a=sendrecv
a=fingerprint:sha-256 12:DF:3E:9C:12:33:77:24:9E:B1:5C:0A:5B:5C:F0:3D:6A:60:87:4A:5E:5B:5C:D5:F3:57:8B:68:0E:6F:9E:C2
a=group:BUNDLE 0 1
a=ice-options:trickle
a=msid-semantic:WMS *
m=audio 54474 UDP/TLS/RTP/SAVPF 109 9 0 8 101
c=IN IP4 203.0.113.5
a=candidate:0 1 UDP 2122252543 192.168.178.59 58212 typ host
a=candidate:2 1 TCP 2105524479 192.168.178.59 9 typ host tcptype active
a=candidate:0 2 UDP 2122252542 192.168.178.59 58213 typ host
a=candidate:1 1 UDP 1686052863 198.51.100.77 58212 typ srflx raddr 192.168.178.59 rport 58212
a=candidate:3 1 UDP 92217343 203.0.113.5 54474 typ relay raddr 198.51.100.77 rport 58212
a=sendrecv
a=end-of-candidates
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=extmap:2/recvonly urn:ietf:params:rtp-hdrext:csrc-audio-level
a=extmap:3 urn:ietf:params:rtp-hdrext:sdes:mid
a=fmtp:109 maxplaybackrate=48000;stereo=1;useinbandfec=1
a=fmtp:101 0-15
a=ice-pwd:0d2f9fc4d2b2b8a4fbb6b3ee4f0ea4dd
a=ice-ufrag:8c4b7f10
a=mid:0
a=msid:{f0b3e7a9-4c0a-4d8e-9b7c-5d2f3f6b8a11} {6c3a8b0e-2a4e-4f0c-8e5e-0b9c9a1d7d22}
a=rtcp:58213 IN IP4 198.51.100.77
a=rtcp-mux
a=rtpmap:109 opus/48000/2
a=rtpmap:9 G722/8000/1
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000/1
a=setup:actpass
a=ssrc:2655508255 cname:{735484ea-4f6c-f74a-bd66-7425f8476c2e}
m=video 0 UDP/TLS/RTP/SAVPF 120 124
c=IN IP4 0.0.0.0
a=bundle-only
a=sendrecv
a=extmap:4 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
a=fmtp:120 max-fs=12288;max-fr=60
a=fmtp:124 apt=120
a=ice-pwd:0d2f9fc4d2b2b8a4fbb6b3ee4f0ea4dd
a=ice-ufrag:8c4b7f10
a=mid:1
a=msid:{f0b3e7a9-4c0a-4d8e-9b7c-5d2f3f6b8a11} {1d8a7c54-7a4f-4a06-9d2f-3c5d1b0e9f33}
a=rtcp-fb:120 nack
a=rtcp-fb:120 nack pli
a=rtcp-fb:120 ccm fir
a=rtcp-fb:120 goog-remb
a=rtcp-mux
a=rtcp-rsize
a=rtpmap:120 VP8/90000
a=rtpmap:124 rtx/90000
a=setup:actpass
a=ssrc:3463951252 cname:{735484ea-4f6c-f74a-bd66-7425f8476c2e}
`);

/** Safari's answer before gathering, with a bandwidth wished by the page. */
const safariAnswer = lines(`
v=0
o=- 7614219274584779017 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0
a=msid-semantic: WMS 0D2B7C1E-5A3F-4B1C-8E6D-9F0A1B2C3D4E
m=video 9 UDP/TLS/RTP/SAVPF 96 97
c=IN IP4 0.0.0.0
b=AS:1200
b=TIAS:1200000
a=rtcp:9 IN IP4 0.0.0.0
a=ice-ufrag:Ra2b
a=ice-pwd:sf4rTVmJl9W5E0dJFdMkdhUi
a=ice-options:trickle
a=fingerprint:sha-256 7B:8B:F0:65:5F:78:E2:51:3B:AC:6F:F3:3F:46:1B:35:DC:B8:5F:64:1A:24:C2:43:F0:A1:58:D0:A1:2C:19:08
a=setup:active
a=mid:0
a=extmap:14 urn:ietf:params:rtp-hdrext:toffset
a=sendrecv
a=rtcp-mux
a=rtcp-rsize
a=rtpmap:96 H264/90000
a=rtcp-fb:96 goog-remb
a=rtcp-fb:96 nack pli
a=fmtp:96 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=640c1f
a=rtpmap:97 rtx/90000
a=fmtp:97 apt=96
a=ssrc-group:FID 2231627014 632943048
a=ssrc:2231627014 cname:4TOk42mSjXCkVIa6
a=ssrc:632943048 cname:4TOk42mSjXCkVIa6
`);

/** By name. */
export const descriptions = { chromiumOffer, chromiumAnswer, firefoxOffer, safariAnswer };
