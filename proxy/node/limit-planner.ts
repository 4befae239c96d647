/** Which rules have limits, as workers need to know it: found by their record in the image, and kept apart in the shared table by number. */
import type { Document, Rule, SourceTerm } from '../../config/document.ts';
import type { Image } from '../../policy/image.ts';
import { membershipDocument, sourceText } from '../../policy/membership.ts';
import type { PlannedLimits, PlannedRuleLimits } from './plan.ts';

/** Names that keep their number while no document has them: what a rule has spent is remembered when it comes back. */
const NUMBERS_KEPT = 10_000;

export class LimitPlanner {
  private readonly numbers = new Map<string, number>();
  private next = 1;

  /** null where no rule has limits. `compile` makes the image of a document under the circumstances of now. */
  plan(document: Document, compile: (document: Document) => Image): PlannedLimits | null {
    const rules: PlannedRuleLimits[] = [];
    const sources = new Map<string, SourceTerm>();
    // Records stand in this order.
    const lists: (readonly [where: string, rules: readonly Rule[]])[] = [
      ['guardrails', document.guardrails],
      ['baseline', document.baseline],
      ...document.applications.map((application) => [`application ${application.name}`, application.rules] as const),
    ];
    let record = 0;
    for (const [where, list] of lists)
      for (const rule of list) {
        if (rule.limits !== null) rules.push(this.ruleOf(where, rule, record, sources));
        record++;
      }
    if (rules.length === 0) return null;
    this.forget();
    const asked = membershipDocument(document, [...sources.values()]);
    return { rules, membership: asked === null ? null : compile(asked).buffer };
  }

  private ruleOf(where: string, rule: Rule, record: number, sources: Map<string, SourceTerm>): PlannedRuleLimits {
    const limits = rule.limits!;
    const key = `${where} ${rule.name} per ${limits.per}`;
    const counted = { record, id: this.number(key), name: rule.name, limits };
    if (limits.per !== 'segment') return { ...counted, sources: [] };
    for (const source of rule.from) if (!sources.has(sourceText(source))) sources.set(sourceText(source), source);
    const texts = [...sources.keys()];
    return {
      ...counted,
      sources: rule.from.map((source) => ({ id: this.number(`${key} ${sourceText(source)}`), asked: texts.indexOf(sourceText(source)) })),
    };
  }

  /** The number of a name, which moves to the end of what is forgotten first. */
  private number(key: string): number {
    const number = this.numbers.get(key) ?? this.next++;
    this.numbers.delete(key);
    this.numbers.set(key, number);
    return number;
  }

  private forget(): void {
    // Those of the document were just moved to the end; a document of more rules than are kept loses what is spent with the next change.
    for (const key of this.numbers.keys()) {
      if (this.numbers.size <= NUMBERS_KEPT) return;
      this.numbers.delete(key);
    }
  }
}
