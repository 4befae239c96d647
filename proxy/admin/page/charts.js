/** Rates over the last minutes, drawn by uPlot on two canvases. Lines differ by dash as well as by colour; the legend holds the figures. */
import { clock, bytes as formatBytes, rate as formatRate } from './format.js';
import { Component, h } from './preact.js';
import uPlot from './uplot.js';

const HEIGHT = 180;
const DARK = matchMedia('(prefers-color-scheme: dark)');

export function ChartPanel({ history }) {
  const perSecond = (value) => `${formatRate(value)}/s`;
  const bytesPerSecond = (value) => (value === null || value === undefined ? '–' : `${formatBytes(value)}/s`);
  return h('section', { class: 'charts', 'aria-label': 'Rates over the last ten minutes' }, [
    h(Chart, {
      key: 'verdicts',
      title: 'Flows',
      format: perSecond,
      times: history.times,
      lines: [
        { name: 'allowed', colour: '--allow', dash: [], values: history.allowed },
        { name: 'denied', colour: '--deny', dash: [5, 3], values: history.denied },
      ],
    }),
    h(Chart, {
      key: 'bytes',
      title: 'Bytes',
      format: bytesPerSecond,
      binary: true,
      times: history.times,
      lines: [
        { name: 'to clients', colour: '--allow', dash: [], values: history.bytes_out },
        { name: 'from clients', colour: '--would', dash: [5, 3], values: history.bytes_in },
      ],
    }),
  ]);
}

class Chart extends Component {
  constructor(props) {
    super(props);
    this.state = { at: null };
  }

  componentDidMount() {
    this.make();
    this.resize = new ResizeObserver(() => this.fit());
    this.resize.observe(this.canvas);
    this.recolour = () => this.make();
    DARK.addEventListener('change', this.recolour);
  }

  componentDidUpdate(previous) {
    if (previous.times !== this.props.times) this.plot.setData(this.data());
  }

  componentWillUnmount() {
    this.resize.disconnect();
    DARK.removeEventListener('change', this.recolour);
    this.plot.destroy();
  }

  data() {
    return [this.props.times, ...this.props.lines.map((line) => line.values)];
  }

  fit() {
    const width = this.canvas.clientWidth;
    if (width > 0 && width !== this.plot.width) this.plot.setSize({ width, height: HEIGHT });
  }

  /** uPlot takes its colours when it is made, so that it is made anew when the scheme changes. */
  make() {
    this.plot?.destroy();
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const axis = {
      stroke: colour('--quiet'),
      font: '11px ui-sans-serif, system-ui, sans-serif',
      grid: { stroke: colour('--line'), width: 1 },
      ticks: { show: false },
    };
    const { format, lines, binary } = this.props;
    this.plot = new uPlot(
      {
        width: Math.max(200, this.canvas.clientWidth),
        height: HEIGHT,
        padding: [6, 28, 0, 0],
        legend: { show: false },
        cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
        scales: { y: { range: (_, low, high) => [Math.min(0, low ?? 0), Math.max(high ?? 0, binary ? 1024 : 1) * 1.15] } },
        axes: [
          {
            ...axis,
            space: 70,
            size: 26,
            incrs: TIME_STEPS,
            // With seconds where ticks are less than a minute apart, or they would all read the same.
            values: (_, ticks, __, ___, step) => ticks.map((tick) => clock(new Date(tick * 1000)).slice(0, step < 60 ? 8 : 5)),
            grid: { show: false },
          },
          {
            ...axis,
            size: 76,
            space: 36,
            incrs: binary ? BINARY_STEPS : undefined,
            values: (_, ticks) => ticks.map((tick) => format(tick)),
          },
        ],
        series: [
          {},
          ...lines.map((line) => ({
            label: line.name,
            stroke: colour(line.colour),
            width: 1.75,
            dash: line.dash,
            points: { show: false },
          })),
        ],
        hooks: { setCursor: [(plot) => this.setState({ at: plot.cursor.idx ?? null })] },
      },
      this.data(),
      this.canvas,
    );
  }

  render() {
    const { title, lines, format, times } = this.props;
    const at = this.state.at !== null && this.state.at < times.length ? this.state.at : times.length - 1;
    const when = this.state.at === null || times.length === 0 ? 'now' : clock(new Date(times[at] * 1000));
    const figures = lines.map((line) => [line, format(line.values[at])]);
    return h('figure', null, [
      h('figcaption', null, [
        h('h2', null, title),
        h('span', { class: 'quiet' }, when),
        h(
          'ul',
          { class: 'legend' },
          figures.map(([line, value]) =>
            h(
              'li',
              { key: line.name },
              h(
                'svg',
                { width: 22, height: 8, 'aria-hidden': 'true' },
                h('line', {
                  x1: 0,
                  y1: 4,
                  x2: 22,
                  y2: 4,
                  class: line.colour.slice(2),
                  'stroke-width': 2.5,
                  'stroke-dasharray': line.dash.join(' '),
                }),
              ),
              ` ${line.name} `,
              h('b', null, value),
            ),
          ),
        ),
      ]),
      h('div', {
        class: 'canvas',
        role: 'img',
        'aria-label': `${title} over the last ten minutes; ${when} ${figures.map(([line, value]) => `${line.name} ${value}`).join(', ')}`,
        ref: (element) => {
          if (element !== null) this.canvas = element;
        },
      }),
      times.length === 0 && h('p', { class: 'gathering' }, 'Gathering the first seconds …'),
    ]);
  }
}

/** Seconds between two ticks, none of them a part of one. */
const TIME_STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600];

/** Powers of two, so that the axis of bytes reads 512 KiB and 1 MiB. */
const BINARY_STEPS = Array.from({ length: 50 }, (_, i) => 2 ** i);
